"""A mixture of real and synthetic items in one dataset."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..arguments import check_seed, number, whole_number
from ..errors import InputError
from ..noise import Stream, uniforms
from .classes import names_of, target_array
from .compatibility import check_alike
from .seeded import SeededDataset, checked_index, fetch
from .wrappers import check_map_style

_KEYS_PER_DRAW = 1 << 14  # about as many as a core's cache holds


class MixedDataset(SeededDataset):
    """Real and synthetic items in one map-style dataset, with an exact share of synthetic ones.

    An epoch has every real item once and as many synthetic ones as were asked for. The two kinds
    are evenly interleaved, so that every batch has the share too when the sampler does not shuffle;
    within each kind the order is shuffled by (seed, epoch). Each pass of a `DataLoader` is an
    epoch, until `set_epoch` chooses one. Unlike `ConcatDataset` it keeps batched fetching on both
    sides.

    Args:
        real: any map-style dataset.
        synthetic: a dataset whose items are like those of `real`, in type, shape, dtype, range and
            keys: by `output`, `transform`, `target_transform` and `keys` of `VAESyntheticDataset`.
            Where the labels of `real` are tensors, as in a `TensorDataset`, give it
            `target_transform=torch.as_tensor`.
        synthetic_fraction: the fraction of synthetic items, at least 0 and below 1; 0.5 if neither
            it nor `synthetic_count` is given.
        seed: of the order, 0..2**64 - 1.
        synthetic_count: the number of synthetic items in an epoch, in place of the fraction.

    Raises:
        InputError: a fraction, count or seed out of range, an empty dataset or a stream, or first
            items, names of classes or orientations of images that do not go together.
    """

    seed: int

    def __init__(
        self,
        real: Dataset[Any],
        synthetic: Dataset[Any],
        synthetic_fraction: float | None = None,
        seed: int = 0,
        *,
        synthetic_count: int | None = None,
    ) -> None:
        check_map_style("real", real)
        check_map_style("synthetic", synthetic)
        super().__init__(check_seed(seed), real, synthetic)
        self.real = real
        self.synthetic = synthetic
        self._counts = len(real), len(synthetic)  # type: ignore[arg-type]
        if not all(self._counts):
            raise InputError(
                f"There are {self._counts[0]} real and {self._counts[1]} synthetic items; both "
                "need some."
            )
        self.synthetic_count = _synthetic_count(
            self._counts[0], synthetic_fraction, synthetic_count
        )
        check_alike(real, synthetic)
        self._orders: tuple[int, NDArray[np.uint32], NDArray[np.uint32]] | None = None

    def __len__(self) -> int:
        return self._counts[0] + self.synthetic_count

    def __repr__(self) -> str:
        mixture = f"synthetic_count={self.synthetic_count}, seed={self.seed}"
        return f"MixedDataset({self.real!r}, {self.synthetic!r}, {mixture})"

    @property
    def classes(self) -> list[str]:
        """The names of the classes by index: those of `real` and, for others, of `synthetic`."""
        return names_of(self)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, by name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def targets(self) -> Any:
        """The labels of all items in this epoch, [N]: a tensor of int64, or a list of names."""
        is_synthetic, real, synthetic = self._chosen(np.arange(len(self)))
        ours = target_array(self.real)
        theirs = target_array(self.synthetic)
        labels = np.empty(len(self), np.result_type(ours, theirs))
        labels[~is_synthetic] = ours[real]
        labels[is_synthetic] = theirs[synthetic]
        return labels.tolist() if labels.dtype == object else torch.from_numpy(labels)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        index = checked_index(indices, len(self))
        is_synthetic, real, synthetic = self._chosen(index)
        items = np.empty(len(index), dtype=object)
        items[~is_synthetic] = fetch(self.real, real)
        items[is_synthetic] = fetch(self.synthetic, synthetic)
        return items.tolist()

    def _chosen(
        self, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Which of the items at `index` [B] are synthetic, and the indices of either side."""
        # As in Bresenham's line: how many synthetic items come before each position.
        before = index * self.synthetic_count // len(self)
        is_synthetic = (index + 1) * self.synthetic_count // len(self) > before
        epoch, real_order, synthetic_order = self._order()
        real = real_order[(index - before)[~is_synthetic]].astype(np.int64)
        # So that a synthetic dataset without epochs shows all its items before it repeats one.
        drawn = synthetic_order[before[is_synthetic]].astype(np.int64)
        synthetic = (epoch * self.synthetic_count + drawn) % self._counts[1]
        return is_synthetic, real, synthetic

    def _order(self) -> tuple[int, NDArray[np.uint32], NDArray[np.uint32]]:
        """The epoch, and the orders of the real and of the synthetic items in it."""
        epoch = self.epoch
        if self._orders is None or self._orders[0] != epoch:
            self._orders = None  # before the next ones take memory
            counts = self._counts[0], self.synthetic_count
            # The order of fewer items is a part of it.
            order = _shuffled(self.seed, epoch, max(counts))
            self._orders = epoch, order[order < counts[0]], order[order < counts[1]]
        return self._orders


def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.uint32]:
    """0..count - 1 in the order of their random numbers; with millions, memory and time matter."""
    keys = np.empty(count, np.uint64)
    for start in range(0, count, _KEYS_PER_DRAW):
        index = np.arange(start, min(start + _KEYS_PER_DRAW, count))
        words = uniforms(seed, Stream.MIXING, epoch, index, 1)[:, 0] * 2.0**32
        high = words.astype(np.uint64) << np.uint64(32)
        keys[index[0] : index[-1] + 1] = high | index.astype(np.uint64)
    keys.sort()  # a quarter of the time and memory of a stable argsort
    return keys.astype(np.uint32)


def _synthetic_count(real: int, fraction: float | None, count: int | None) -> int:
    if fraction is not None and count is not None:
        raise InputError(
            f"synthetic_fraction={fraction} and synthetic_count={count} were both given. Give one."
        )
    if count is None:
        fraction = 0.5 if fraction is None else number("synthetic_fraction", fraction)
        if not 0.0 <= fraction < 1.0:
            raise InputError(f"synthetic_fraction is {fraction}; it must lie in [0, 1).")
        count = round(real * fraction / (1 - fraction))
    # Products of two such numbers fit into an int64.
    return whole_number("synthetic_count", count, 0, 30)
