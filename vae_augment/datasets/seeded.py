"""What our datasets share: a seed, an epoch that workers see, and fetching in batches."""

import itertools
import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from ..arguments import check_epoch, check_seed
from ..errors import InputError
from . import passes as passes  # whose import makes loaders announce their passes

_NUMBERS_PER_BLOCK = 128
_shared_numbers: list[Tensor] = []  # not yet given away
if hasattr(os, "register_at_fork"):
    # The parent gives these away.
    os.register_at_fork(after_in_child=_shared_numbers.clear)


class SeededDataset(Dataset[Any]):
    """A base class: items that depend on a seed and an epoch, fetched by `__getitems__`.

    Item i is a function of (seed, epoch, i). Each pass of a `DataLoader` is an epoch of its own:
    the first is epoch 0, the next one 1 and so on, whatever the trainer, the number of workers and
    whether they persist. Each `DataLoader` counts for itself, as does each rank of a distributed
    training, so that ranks agree. `dataset[i]` and all else that is done by hand has the epoch of
    the pass that was served last.

    Once `set_epoch` has been called, it alone chooses the epoch: call it before each pass, as that
    of `DistributedSampler`, or once for images that stay as they are, such as those of a
    validation.
    """

    def __init__(self, seed: int | None, *inner: Dataset[Any]) -> None:
        self.seed = None if seed is None else check_seed(seed)
        self._inner = inner
        self._process = os.getpid()
        # Numbers in memory that workers share
        self._is_chosen = _shared_number()  # 1 when set_epoch has been called
        self._first = _shared_number()  # the chosen epoch, else that of a loader's first pass
        self._latest = self._first  # the epoch of the pass that was served last
        self._passes: WeakKeyDictionary[Any, Tensor] = WeakKeyDictionary()  # those of loaders

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_passes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._passes = WeakKeyDictionary()
        # A copy or a plain pickle has them in private memory, which no worker sees.
        if not self._first.is_shared():
            self._renew_numbers()

    def _renew_numbers(self) -> None:
        """Numbers of its own, for a copy of the dataset."""
        self._is_chosen = _shared_number().copy_(self._is_chosen)
        self._first = _shared_number().fill_(self.epoch)
        self._latest = self._first
        self._passes = WeakKeyDictionary()

    @property
    def epoch(self) -> int:
        """The epoch that `set_epoch` chose or, without it, that of the pass served last."""
        return int(self._first if self._is_chosen else self._latest)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch from now on, 0..2**29 - 1.

        It counts here and in the datasets inside that have epochs, even in running workers.
        """
        epoch = check_epoch(epoch)
        self._renew_in_rank()
        self._first.fill_(epoch)
        self._is_chosen.fill_(1)
        for dataset in self._inner:
            if hasattr(dataset, "set_epoch"):
                dataset.set_epoch(epoch)

    def begin_pass(self, loader: object) -> Tensor:
        """Note that a `DataLoader` starts to go through the dataset; its iterators call this.

        Returns:
            The number of the epoch, for `serve_pass`.
        """
        self._renew_in_rank()
        if loader in self._passes:
            number = self._passes[loader]
            number.fill_(check_epoch(int(number) + 1))
        else:
            number = self._passes[loader] = _shared_number().copy_(self._first)
        self.serve_pass(number)
        return number

    def serve_pass(self, number: Tensor) -> None:
        """Note that the next items are for the pass with this number of `begin_pass`."""
        self._latest = number

    def _renew_in_rank(self) -> None:
        """Let a rank, unlike a worker, count for itself: it was forked or got a pickle."""
        if os.getpid() != self._process and get_worker_info() is None:
            self._process = os.getpid()
            self._renew_numbers()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed loader needs: the seed and the epoch."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the epoch of a `state_dict`; `InputError` when it is of another seed."""
        if state["seed"] != self.seed:
            raise InputError(
                f"The state is of seed {state['seed']}, but this dataset has seed {self.seed}."
            )
        self._go_on_from(check_epoch(state["epoch"]))

    def _go_on_from(self, epoch: int) -> None:
        self._renew_in_rank()
        self._first.fill_(epoch)
        self._latest.fill_(epoch)
        for dataset in self._inner:
            if isinstance(dataset, SeededDataset):
                dataset._go_on_from(epoch)
            elif hasattr(dataset, "set_epoch"):
                dataset.set_epoch(epoch)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    @abstractmethod
    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items at `indices`."""


def _shared_number() -> Tensor:
    """An int64 in memory that workers share, in a block with others: each takes a descriptor."""
    if not _shared_numbers:
        block = torch.zeros(_NUMBERS_PER_BLOCK, dtype=torch.int64, device="cpu")
        _shared_numbers.extend(block.share_memory_().unbind())
    return _shared_numbers.pop()


def fetch(dataset: Dataset[Any], index: NDArray[np.int64]) -> NDArray[np.object_]:
    """The items at `index`, in one call where the dataset can."""
    rows = index.tolist()
    batched = getattr(dataset, "__getitems__", None)
    if batched and rows:
        found = list(itertools.islice(batched(rows), len(rows) + 1))
    else:
        found = [dataset[row] for row in rows]
    if len(found) != len(rows):
        raise InputError(
            f"{type(dataset).__name__}.__getitems__ gave {len(found)} items for {len(rows)} "
            "indices."
        )
    items = np.empty(len(rows), dtype=object)
    for place, item in enumerate(found):  # items[:] = found would split items that are sequences
        items[place] = item
    return items


def checked_index(indices: Sequence[int], length: int) -> NDArray[np.int64]:
    """Indices as int64 [B], negative ones counted from the end.

    `InputError` for a slice, `IndexError` out of range.
    """
    index = np.asarray(indices)
    if index.ndim != 1 or (len(index) and index.dtype.kind not in "iu"):
        raise InputError(f"The indices are {str(indices)[:100]}; give integers.")
    index = index.astype(np.int64)
    wrapped = np.where(index < 0, index + length, index)
    is_outside = (wrapped < 0) | (wrapped >= length)
    if is_outside.any():
        raise IndexError(f"index {index[is_outside][0]} is out of range for {length} items")
    return wrapped
