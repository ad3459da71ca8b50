"""Datasets: generated images, and a mixture of real and generated ones.

Both define `__getitems__`, so that a DataLoader fetches a whole batch in one run of the decoder.
"""

import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .errors import InputError
from .noise import Stream, check_epoch, check_seed, uniforms
from .pixels import PIL_MODES, from_batch, to_pil
from .runtime import VAEModel, as_model
from .sampling import Labels, draw, parse_labels
from .sessions import Provider

OUTPUTS = ("float", "uint8", "pil")
_LATENTS_PER_DRAW = 1024  # for small batches, calling NumPy costs more than drawing the numbers


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


class VAESyntheticDataset(SeededDataset):
    """Labelled images drawn from a VAE, generated on request and never stored.

    Item i depends on (seed, epoch, i) alone: not on batch size, worker count, order or rank. Another epoch has the
    same labels and other images.

    >>> data = VAESyntheticDataset("mnist", length=60_000)
    >>> image, label = data[0]
    >>> image.shape, label
    (torch.Size([1, 28, 28]), 0)

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`.
        length: the number of images in an epoch, at least 1.
        labels: "balanced" (all classes in turn), a class (index or name), a list of classes to go through in turn, or
            a mapping from classes to weights to draw from. A model without classes gives the label -1.
        seed: 0..2**64 - 1.
        output: "float" ([C, H, W] float32 in [0, 1]), "uint8" ([C, H, W] in 0..255) or "pil" (mode L or RGB).
        transform, target_transform: applied to each image and each label (an int), as in torchvision's datasets.
        provider: as for `load`.

    Raises:
        InputError: a value out of range, or an unknown class or output. Errors about the model are those of `load`.
    """

    seed: int

    def __init__(
        self,
        model: str | os.PathLike[str] | VAEModel,
        length: int,
        *,
        labels: Labels = "balanced",
        seed: int = 0,
        output: str = "float",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        provider: Provider = "auto",
    ) -> None:
        if length < 1:
            raise InputError(f"length is {length}; it must be at least 1.")
        super().__init__(seed)
        if output not in OUTPUTS:
            raise InputError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
        self.model = as_model(model, provider)
        if output == "pil" and self.model.spec.image_shape[0] not in PIL_MODES:
            raise InputError(f"output='pil' needs 1 or 3 channels; the model has {self.model.spec.image_shape[0]}.")
        self.length, self.labels, self.output = operator.index(length), labels, output
        self.transform, self.target_transform = transform, target_transform
        self._policy = parse_labels(labels, self.model.spec)

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return (
            f"VAESyntheticDataset({self.model.name!r}, length={self.length}, labels={self.labels!r}, seed={self.seed}, "
            f"output={self.output!r}, provider={self.model.device_type!r})"
        )

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return list(self.model.spec.classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, by name."""
        return {name: index for index, name in enumerate(self.model.spec.classes)}

    @property
    def targets(self) -> Tensor:
        """The labels of all items, [length] int64, the same in every epoch."""
        return torch.from_numpy(self._policy.at(np.arange(self.length), self.seed))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        latent, labels = self._drawn(checked_index(indices, self.length))
        images = self._decoded(latent, labels)
        items = [to_pil(image) for image in images] if self.output == "pil" else images.unbind()
        return [self._finish(item, label) for item, label in zip(items, labels.tolist(), strict=True)]

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """Yield all items in order as (images [B, C, H, W], labels [B] int64): faster than a DataLoader.

        `transform` and `target_transform` are given whole batches here. torchvision's v2 transforms accept batches, but
        draw one set of parameters per batch.

        Raises:
            InputError: a size below 1, or output="pil".
        """
        if size < 1:
            raise InputError(f"The batch size is {size}; it must be at least 1.")
        if self.output == "pil":
            raise InputError("batches() gives tensors; choose output='float' or 'uint8'.")
        count = max(size, _LATENTS_PER_DRAW // size * size)
        for start in range(0, self.length, count):
            latents, labels = self._drawn(np.arange(start, min(start + count, self.length)))
            for latent, label in zip(latents.split(size), labels.split(size), strict=True):
                yield self._finish(self._decoded(latent, label), label)

    def _drawn(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        latent, labels = draw(self.model.spec, self._policy, index, self.seed, self.epoch)
        return torch.from_numpy(latent), torch.from_numpy(labels)

    def _decoded(self, latent: Tensor, labels: Tensor) -> Tensor:
        images = self.model.decode(latent, labels)
        return images if self.output == "float" else from_batch(images, torch.uint8)

    def _finish(self, image: Any, label: Any) -> tuple[Any, Any]:
        image = image if self.transform is None else self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)


class MixedDataset(SeededDataset):
    """Real and synthetic items in one map-style dataset, with an exact fraction of synthetic ones.

    An epoch has every real item once and as many synthetic ones as the fraction asks for. The two kinds are evenly
    interleaved, so that every batch has the fraction too when the sampler does not shuffle; within each kind the order
    is shuffled by (seed, epoch). Unlike `ConcatDataset` it keeps batched fetching on both sides.

    Args:
        real: any map-style dataset.
        synthetic: a dataset whose items are like those of `real`, such as `VAESyntheticDataset`. Where the labels of
            `real` are tensors, as in a `TensorDataset`, give it `target_transform=torch.as_tensor`.
        synthetic_fraction: the fraction of synthetic items, at least 0 and below 1.
        seed: of the order, 0..2**64 - 1.

    Raises:
        InputError: a fraction or a seed out of range, or an empty dataset.
    """

    seed: int

    def __init__(
        self, real: Dataset[Any], synthetic: Dataset[Any], synthetic_fraction: float = 0.5, seed: int = 0
    ) -> None:
        if not 0.0 <= synthetic_fraction < 1.0:
            raise InputError(f"synthetic_fraction is {synthetic_fraction}; it must lie in [0, 1).")
        super().__init__(seed, real, synthetic)
        self.real, self.synthetic, self.synthetic_fraction = real, synthetic, synthetic_fraction
        self._counts = len(real), len(synthetic)  # type: ignore[arg-type]
        if not all(self._counts):
            raise InputError(f"There are {self._counts[0]} real and {self._counts[1]} synthetic items; both need some.")
        self._synthetic_count = round(self._counts[0] * synthetic_fraction / (1 - synthetic_fraction))
        self._orders: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return self._counts[0] + self._synthetic_count

    def __repr__(self) -> str:
        return f"MixedDataset({self.real!r}, {self.synthetic!r}, {self.synthetic_fraction}, seed={self.seed})"

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        index = checked_index(indices, len(self))
        # As in Bresenham's line: how many synthetic items come before each position.
        before = index * self._synthetic_count // len(self)
        is_synthetic = (index + 1) * self._synthetic_count // len(self) > before
        real_order, synthetic_order = self._order()
        items = np.empty(len(index), dtype=object)
        items[~is_synthetic] = fetch(self.real, real_order[(index - before)[~is_synthetic]])
        items[is_synthetic] = fetch(self.synthetic, synthetic_order[before[is_synthetic]])
        return items.tolist()

    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        epoch = self.epoch
        if self._orders is None or self._orders[0] != epoch:
            real = _shuffled(self.seed, epoch, self._counts[0])
            # So that a synthetic dataset without epochs shows all its items before it repeats one.
            first = epoch * self._synthetic_count
            synthetic = first + _shuffled(self.seed, epoch, self._synthetic_count)
            self._orders = epoch, real, synthetic % self._counts[1]
        return self._orders[1:]


def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    keys = uniforms(seed, Stream.MIXING, epoch, np.arange(count), 1)[:, 0]
    return np.argsort(keys, kind="stable").astype(np.int64)


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
