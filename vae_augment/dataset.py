"""Datasets: generated images addressed by index, and a mixture of real and generated ones.

Both implement `__getitems__`, so that a DataLoader fetches a whole batch in one run of the decoder.
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
Item = tuple[Any, Any]
_AHEAD = 1024  # latents drawn at once: the calls of NumPy cost more than the numbers of one batch


class _Epoch:
    """An epoch number that DataLoader workers see change, persistent ones too."""

    def __init__(self) -> None:
        self._shared = torch.zeros((), dtype=torch.int64).share_memory_()

    def get(self) -> int:
        return int(self._shared)

    def set(self, epoch: int) -> None:
        check_epoch(epoch)
        self._shared.fill_(epoch)

    def __setstate__(self, state: dict[str, Tensor]) -> None:
        # A copy or a plain pickle comes back in private memory, which workers would not see change.
        self._shared = state["_shared"].share_memory_()


class VAESyntheticDataset(Dataset[Item]):
    """Labelled images drawn from a VAE, made when they are asked for and never stored.

    Item i is a function of (seed, epoch, i) alone: neither batch size, worker count, order nor rank can change it.

    >>> data = VAESyntheticDataset("mnist", length=60_000)
    >>> image, label = data[0]
    >>> image.shape, label
    (torch.Size([1, 28, 28]), 0)

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`.
        length: how many images an epoch has.
        labels: "balanced" (all classes in turn), a class (index or name), a list of classes to go through in turn, or
            a mapping from classes to weights to draw from. A model without classes gives the label -1.
        seed: of everything random here.
        output: "float" ([C, H, W] float32 in [0, 1]), "uint8" ([C, H, W] in 0..255) or "pil" (as datasets.MNIST).
        transform, target_transform: applied to the image and to the label, as in torchvision's datasets.
        provider: as for `load`.

    Attributes:
        classes, class_to_idx, targets: as torchvision's datasets have them.

    Raises:
        InputError: a length below 1, an unknown class or output.
    """

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
        check_seed(seed)
        if output not in OUTPUTS:
            raise InputError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
        self.model = as_model(model, provider)
        if output == "pil" and self.model.spec.image_shape[0] not in PIL_MODES:
            raise InputError(f"output='pil' needs 1 or 3 channels; the model has {self.model.spec.image_shape[0]}.")
        self.length, self.labels, self.seed, self.output = operator.index(length), labels, seed, output
        self.transform, self.target_transform = transform, target_transform
        self._policy = parse_labels(labels, self.model.spec)
        self._epoch = _Epoch()

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
        """From a class's name to its index."""
        return {name: index for index, name in enumerate(self.model.spec.classes)}

    @property
    def targets(self) -> Tensor:
        """The labels of all items, [length] int64. They are the same in every epoch."""
        return torch.from_numpy(self._policy.at(np.arange(self.length), self.seed))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch: the same labels, other images. Workers that are already running see it too."""
        self._epoch.set(epoch)

    def state_dict(self) -> dict[str, int]:
        """What a resumed loader needs; the items need nothing else."""
        return {"seed": self.seed, "epoch": self._epoch.get()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up the epoch of `state_dict`; `InputError` for that of another seed."""
        _check_seed(state, self.seed)
        self.set_epoch(state["epoch"])

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        latent, labels = self._drawn(_checked(indices, self.length))
        images = self._decoded(latent, labels)
        items = [to_pil(image) for image in images] if self.output == "pil" else images.unbind()
        return [self._finish(item, label) for item, label in zip(items, labels.tolist(), strict=True)]

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """All items in order as (images [B, C, H, W], labels [B]), without a DataLoader: the fastest way.

        `transform` and `target_transform` are given whole batches here, which torchvision's v2 transforms take; a v2
        transform then draws one set of parameters a batch.
        """
        if size < 1:
            raise InputError(f"The batch size is {size}; it must be at least 1.")
        if self.output == "pil":
            raise InputError("batches() gives tensors; choose output='float' or 'uint8'.")
        ahead = max(size, _AHEAD // size * size)
        for start in range(0, self.length, ahead):
            latents, labels = self._drawn(np.arange(start, min(start + ahead, self.length)))
            for latent, label in zip(latents.split(size), labels.split(size), strict=True):
                yield self._finish(self._decoded(latent, label), label)

    def _drawn(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        latent, labels = draw(self.model.spec, self._policy, index, self.seed, self._epoch.get())
        return torch.from_numpy(latent), torch.from_numpy(labels)

    def _decoded(self, latent: Tensor, labels: Tensor) -> Tensor:
        images = self.model.decode(latent, labels)
        return images if self.output == "float" else from_batch(images, torch.uint8)

    def _finish(self, image: Any, label: Any) -> Item:
        image = image if self.transform is None else self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)


class MixedDataset(Dataset[Any]):
    """Real and synthetic items in one map-style dataset, with an exact share of synthetic ones.

    An epoch shows every real item once, and as many synthetic ones as the share asks for. The two kinds alternate
    evenly, so that without a shuffling sampler every batch has the share too; within each kind the order is shuffled by
    (seed, epoch). Unlike `ConcatDataset` it keeps batched fetching on both sides.

    Args:
        real: any map-style dataset.
        synthetic: a dataset whose items look like those of `real`, such as `VAESyntheticDataset`; beside labels that
            are tensors, as those of a `TensorDataset`, give it `target_transform=torch.as_tensor`.
        synthetic_fraction: the share of synthetic items, 0 <= share < 1.
        seed: of the order.

    Raises:
        InputError: a share outside [0, 1), or an empty dataset.
    """

    def __init__(
        self, real: Dataset[Any], synthetic: Dataset[Any], synthetic_fraction: float = 0.5, seed: int = 0
    ) -> None:
        if not 0.0 <= synthetic_fraction < 1.0:
            raise InputError(f"synthetic_fraction is {synthetic_fraction}; it must lie in [0, 1).")
        check_seed(seed)
        self.real, self.synthetic = real, synthetic
        self.synthetic_fraction, self.seed = synthetic_fraction, seed
        self._counts = _length(real), _length(synthetic)
        if not all(self._counts):
            raise InputError(f"There are {self._counts[0]} real and {self._counts[1]} synthetic items; both need some.")
        self._synthetic_count = round(self._counts[0] * synthetic_fraction / (1 - synthetic_fraction))
        self._epoch = _Epoch()
        self._orders: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return self._counts[0] + self._synthetic_count

    def __repr__(self) -> str:
        return f"MixedDataset({self.real!r}, {self.synthetic!r}, {self.synthetic_fraction}, seed={self.seed})"

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, here and in the synthetic dataset where it has one."""
        self._epoch.set(epoch)
        if hasattr(self.synthetic, "set_epoch"):
            self.synthetic.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """What a resumed loader needs."""
        return {"seed": self.seed, "epoch": self._epoch.get()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take up the epoch of `state_dict`; `InputError` for that of another seed."""
        _check_seed(state, self.seed)
        self.set_epoch(state["epoch"])

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        index = _checked(indices, len(self))
        # Bresenham's line: how many synthetic items stand before each position.
        before = index * self._synthetic_count // len(self)
        is_synthetic = (index + 1) * self._synthetic_count // len(self) > before
        real_order, synthetic_order = self._order()
        items = np.empty(len(index), dtype=object)
        items[~is_synthetic] = _fetch(self.real, real_order[(index - before)[~is_synthetic]])
        items[is_synthetic] = _fetch(self.synthetic, synthetic_order[before[is_synthetic]])
        return items.tolist()

    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        epoch = self._epoch.get()
        if self._orders is None or self._orders[0] != epoch:
            real = _shuffled(self.seed, epoch, self._counts[0])
            # A synthetic dataset without epochs of its own gives other items in the next epoch until it is used up.
            first = epoch * self._synthetic_count
            synthetic = first + _shuffled(self.seed, epoch, self._synthetic_count)
            self._orders = epoch, real, synthetic % self._counts[1]
        return self._orders[1:]


def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    keys = uniforms(seed, Stream.MIXING, epoch, np.arange(count), 1)[:, 0]
    return np.argsort(keys, kind="stable").astype(np.int64)


def _fetch(dataset: Dataset[Any], index: NDArray[np.int64]) -> NDArray[np.object_]:
    rows = index.tolist()
    batched = getattr(dataset, "__getitems__", None)
    found = batched(rows) if batched and rows else [dataset[row] for row in rows]
    items = np.empty(len(rows), dtype=object)
    for place, item in enumerate(found):  # not items[:] = found, which NumPy would take apart
        items[place] = item
    return items


def _length(dataset: Dataset[Any]) -> int:
    return len(dataset)  # type: ignore[arg-type]


def _check_seed(state: dict[str, int], seed: int) -> None:
    if state["seed"] != seed:
        raise InputError(f"The state is of seed {state['seed']}, but this dataset has seed {seed}.")


def _checked(indices: Sequence[int], length: int) -> NDArray[np.int64]:
    index = np.asarray(indices, dtype=np.int64)
    wrapped = np.where(index < 0, index + length, index)
    if ((wrapped < 0) | (wrapped >= length)).any():
        raise IndexError(f"index {index[(wrapped < 0) | (wrapped >= length)][0]} is out of range for {length} items")
    return wrapped
