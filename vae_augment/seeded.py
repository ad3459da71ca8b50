"""What all our datasets are made of: a seed, an epoch that workers see, and fetching in batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from .errors import InputError
from .noise import check_epoch, check_seed


class SeededDataset(Dataset[Any]):
    """A base class: items that depend on a seed and an epoch, fetched by `__getitems__`."""

    def __init__(self, seed: int | None, *inner: Dataset[Any]) -> None:
        if seed is not None:
            check_seed(seed)
        self.seed, self._inner = seed, inner
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._epoch.share_memory_()  # a copy or a plain pickle has it in private memory, where workers see no change

    @property
    def epoch(self) -> int:
        """The epoch that `set_epoch` chose, at first 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, 0..2**29 - 1, here and in the inner datasets that have epochs, even in running workers."""
        check_epoch(epoch)
        self._epoch.fill_(epoch)
        for dataset in self._inner:
            if hasattr(dataset, "set_epoch"):
                dataset.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed loader needs: the seed and the epoch."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the epoch of a `state_dict`; `InputError` when it is of another seed."""
        if state["seed"] != self.seed:
            raise InputError(f"The state is of seed {state['seed']}, but this dataset has seed {self.seed}.")
        self.set_epoch(state["epoch"])

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        raise NotImplementedError


def fetch(dataset: Dataset[Any], index: NDArray[np.int64]) -> NDArray[np.object_]:
    """The items at `index`, in one call where the dataset can."""
    rows = index.tolist()
    batched = getattr(dataset, "__getitems__", None)
    found = batched(rows) if batched and rows else [dataset[row] for row in rows]
    items = np.empty(len(rows), dtype=object)
    for place, item in enumerate(found):  # items[:] = found would split items that are sequences
        items[place] = item
    return items


def checked_index(indices: Sequence[int], length: int) -> NDArray[np.int64]:
    """The indices as int64 [B] with negative ones counted from the end; `IndexError` when one is out of range."""
    index = np.asarray(indices, dtype=np.int64)
    wrapped = np.where(index < 0, index + length, index)
    if ((wrapped < 0) | (wrapped >= length)).any():
        raise IndexError(f"index {index[(wrapped < 0) | (wrapped >= length)][0]} is out of range for {length} items")
    return wrapped
