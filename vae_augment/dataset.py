"""Datasets: generated images, and a mixture of real and generated ones. Both are fetched in whole batches."""

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .alike import check_alike
from .errors import InputError
from .noise import Stream, check_seed, number, uniforms, whole_number
from .pixels import PIL_MODES, from_batch, to_batch, to_pil
from .runtime import VAEModel, as_model
from .sampling import Labels, Originals, check_generates, draw, parse_labels
from .seeded import SeededDataset, checked_index, fetch
from .sessions import Provider
from .spec import MAX_CLASSES, Spec

OUTPUTS = ("float", "uint8", "pil")
_LATENTS_PER_DRAW = 1024  # for small batches, calling NumPy costs more than drawing the numbers
_KEYS_PER_DRAW = 1 << 14  # about as many as a core's cache holds


class VAESyntheticDataset(SeededDataset):
    """Labelled images drawn from a VAE, generated on request and never stored.

    Item i depends on (seed, epoch, i) alone: not on batch size, worker count, order or rank. Another epoch has the
    same labels and other images.

    >>> data = VAESyntheticDataset("mnist", length=60_000)
    >>> image, label = data[0]
    >>> image.shape, label
    (torch.Size([1, 28, 28]), 0)

    A model conditioned on an image, such as "glyphs", redraws `images` of any classes, each image of a class equally
    often on average:

    >>> few = torch.rand(20, 1, 28, 28)
    >>> data = VAESyntheticDataset("glyphs", length=1_000, images=few, labels=[0, 1] * 10)

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`.
        length: the number of images in an epoch, 1..2**63 - 1; None = as many as `labels` lists.
        labels: "balanced" (all classes in turn), a class (index or name), a list of classes to go through in turn, as
            `top_up` gives, or a mapping from classes to weights to draw from. A model without classes gives the label
            -1. With `images`, their labels, class indices [N]; the classes then come in turn.
        seed: 0..2**64 - 1.
        output: "float" ([C, H, W] float32 in [0, 1]), "uint8" ([C, H, W] in 0..255) or "pil" (mode L or RGB).
        images: [N, C, H, W], uint8 or floating in [0, 1], for a model conditioned on an image.
        transform, target_transform: applied to each image and each label (an int), as in torchvision's datasets.
        keys: the keys of dicts to give in place of tuples (image, label), as Hugging Face's: ("image", "label").
        provider: as for `load`.

    Raises:
        InputError: a value out of range, or an unknown class or output. Errors about the model are those of `load`.
    """

    seed: int

    def __init__(
        self,
        model: str | os.PathLike[str] | VAEModel,
        length: int | None = None,
        *,
        labels: Labels | Tensor = "balanced",
        images: Tensor | None = None,
        seed: int = 0,
        output: str = "float",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        keys: tuple[str, str] | None = None,
        provider: Provider = "auto",
    ) -> None:
        if length is None and isinstance(labels, str | int | Mapping):
            raise InputError(f"length is missing; labels={labels!r} does not say how many images to generate.")
        length = whole_number("length", len(labels) if length is None else length, 1, 63)  # type: ignore[arg-type]
        if keys is not None and (not isinstance(keys, tuple | list) or len(keys) != 2 or keys[0] == keys[1]):
            raise InputError(f"keys is {keys!r}; give the names of image and label, such as ('image', 'label').")
        super().__init__(check_seed(seed))
        if output not in OUTPUTS:
            raise InputError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
        self.model = as_model(model, provider)
        if output == "pil" and self.model.spec.image_shape[0] not in PIL_MODES:
            raise InputError(f"output='pil' needs 1 or 3 channels; the model has {self.model.spec.image_shape[0]}.")
        self.length, self.labels, self.output = length, labels, output
        self.transform, self.target_transform, self.keys = transform, target_transform, keys
        self._originals: Originals | None = None
        if images is None:
            check_generates(self.model.spec, self.model.name)
            self._policy = parse_labels(labels, self.model.spec)  # type: ignore[arg-type]
        else:
            self._originals = as_originals(self.model.spec, self.model.name, images, labels)
            self._policy = self._originals.policy

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        source = f"images={len(self._originals.images)}" if self._originals else f"labels={reprlib.repr(self.labels)}"
        return (
            f"VAESyntheticDataset({self.model.name!r}, length={self.length}, {source}, seed={self.seed}, "
            f"output={self.output!r}, provider={self.model.device_type!r})"
        )

    @property
    def classes(self) -> list[str]:
        """The names of the classes; with `images`, their indices as text."""
        return list(self._originals.classes if self._originals else self.model.spec.classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, by name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def targets(self) -> Tensor:
        """The labels of all items, [length] int64, the same in every epoch."""
        return torch.from_numpy(self._policy.at(np.arange(self.length), self.seed))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        labels, *drawn = self._drawn(checked_index(indices, self.length))
        images = self._decoded(labels, *drawn)
        items = [to_pil(image) for image in images] if self.output == "pil" else images.unbind()
        return [self._finish(item, label) for item, label in zip(items, labels.tolist(), strict=True)]

    def batches(self, size: int) -> Iterator[Any]:
        """Yield all items in order as (images [B, C, H, W], labels [B] int64): faster than a DataLoader.

        `transform` and `target_transform` are given whole batches here. torchvision's v2 transforms accept batches, but
        draw one set of parameters per batch.

        Raises:
            InputError: a size below 1, or output="pil".
        """
        size = min(whole_number("The batch size", size, 1), self.length)
        if self.output == "pil":
            raise InputError("batches() gives tensors; choose output='float' or 'uint8'.")
        count = max(size, _LATENTS_PER_DRAW // size * size)
        for start in range(0, self.length, count):
            drawn = self._drawn(np.arange(start, min(start + count, self.length)))
            for label, *others in zip(*(rows.split(size) for rows in drawn), strict=True):
                yield self._finish(self._decoded(label, *others), label)

    def _drawn(self, index: NDArray[np.int64]) -> list[Tensor]:
        """The labels and latents of the images at `index`; with `images`, also the image that each redraws."""
        latent, labels = draw(self.model.spec, self._policy, index, self.seed, self.epoch)
        found = [labels, latent]
        if self._originals:
            found.append(self._originals.chosen(labels, index, self.seed, self.epoch))
        return [torch.from_numpy(rows) for rows in found]

    def _decoded(self, labels: Tensor, latent: Tensor, originals: Tensor | None = None) -> Tensor:
        images = self.model.decode(latent, labels) if originals is None else self.model.redraw(originals, latent)
        return images if self.output == "float" else from_batch(images, torch.uint8)

    def _finish(self, image: Any, label: Any) -> Any:
        image = image if self.transform is None else self.transform(image)
        label = label if self.target_transform is None else self.target_transform(label)
        return (image, label) if self.keys is None else dict(zip(self.keys, (image, label), strict=True))


def as_originals(spec: Spec, name: str, images: Any, labels: object, classes: Sequence[str] = ()) -> Originals:
    """Images [N, C, H, W] and their labels [N] for the model `name` to redraw; `InputError` where they do not fit."""
    if not spec.image_conditional:
        raise InputError(f"images are given, but {name!r} is not conditioned on an image. Leave them out.")
    try:
        images, found = torch.as_tensor(images), np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"images and labels cannot be read ({error}). Give tensors [N, C, H, W] and [N].") from None
    batch = to_batch(images, spec.image_shape)
    if found.shape != (len(batch),) or found.dtype.kind not in "iu" or not len(found) or found.min() < 0:
        raise InputError(
            f"labels of type {found.dtype} and shape {found.shape} do not go with {len(batch)} images; give the class "
            "index of each, from 0 up."
        )
    if found.max() >= MAX_CLASSES:
        raise InputError(
            f"labels go up to {found.max()}; the largest class index is {MAX_CLASSES - 1}. Number them anew."
        )
    # A copy, because the caller may fill the same memory with other images.
    pixels = (images if images.dtype is torch.uint8 else batch).cpu().reshape(batch.shape).numpy().copy()
    classes = tuple(classes) or tuple(str(index) for index in range(int(found.max()) + 1))
    return Originals(pixels, found.astype(np.int64), classes)


class MixedDataset(SeededDataset):
    """Real and synthetic items in one map-style dataset, with an exact number or fraction of synthetic ones.

    An epoch has every real item once and as many synthetic ones as were asked for. The two kinds are evenly
    interleaved, so that every batch has the fraction too when the sampler does not shuffle; within each kind the order
    is shuffled by (seed, epoch). Unlike `ConcatDataset` it keeps batched fetching on both sides.

    Args:
        real: any map-style dataset.
        synthetic: a dataset whose items are like those of `real`, in type, shape, dtype, range and keys: by `output`,
            `transform`, `target_transform` and `keys` of `VAESyntheticDataset`. Where the labels of `real` are tensors,
            as in a `TensorDataset`, give it `target_transform=torch.as_tensor`.
        synthetic_fraction: the fraction of synthetic items, at least 0 and below 1; 0.5 if neither it nor
            `synthetic_count` is given.
        seed: of the order, 0..2**64 - 1.
        synthetic_count: the number of synthetic items in an epoch, in place of the fraction.

    Raises:
        InputError: a fraction, count or seed out of range, an empty dataset, or first items (or names of classes) that
            do not go together.
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
        super().__init__(check_seed(seed), real, synthetic)
        self.real, self.synthetic = real, synthetic
        self._counts = len(real), len(synthetic)  # type: ignore[arg-type]
        if not all(self._counts):
            raise InputError(f"There are {self._counts[0]} real and {self._counts[1]} synthetic items; both need some.")
        self.synthetic_count = _synthetic_count(self._counts[0], synthetic_fraction, synthetic_count)
        check_alike(real, synthetic)
        self._orders: tuple[int, NDArray[np.uint32], NDArray[np.uint32]] | None = None

    def __len__(self) -> int:
        return self._counts[0] + self.synthetic_count

    def __repr__(self) -> str:
        mixture = f"synthetic_count={self.synthetic_count}, seed={self.seed}"
        return f"MixedDataset({self.real!r}, {self.synthetic!r}, {mixture})"

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        index = checked_index(indices, len(self))
        # As in Bresenham's line: how many synthetic items come before each position.
        before = index * self.synthetic_count // len(self)
        is_synthetic = (index + 1) * self.synthetic_count // len(self) > before
        epoch, real_order, synthetic_order = self._order()
        items = np.empty(len(index), dtype=object)
        items[~is_synthetic] = fetch(self.real, real_order[(index - before)[~is_synthetic]])
        # So that a synthetic dataset without epochs shows all its items before it repeats one.
        chosen = epoch * self.synthetic_count + synthetic_order[before[is_synthetic]].astype(np.int64)
        items[is_synthetic] = fetch(self.synthetic, chosen % self._counts[1])
        return items.tolist()

    def _order(self) -> tuple[int, NDArray[np.uint32], NDArray[np.uint32]]:
        """The epoch, and the orders of the real and of the synthetic items in it."""
        epoch = self.epoch
        if self._orders is None or self._orders[0] != epoch:
            self._orders = None  # before the next ones take memory
            counts = self._counts[0], self.synthetic_count
            order = _shuffled(self.seed, epoch, max(counts))  # the order of fewer items is a part of it
            self._orders = epoch, order[order < counts[0]], order[order < counts[1]]
        return self._orders


def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.uint32]:
    """The numbers 0..count - 1 in the order of their random numbers; with millions of them, memory and time matter."""
    keys = np.empty(count, np.uint64)
    for start in range(0, count, _KEYS_PER_DRAW):
        index = np.arange(start, min(start + _KEYS_PER_DRAW, count))
        words = uniforms(seed, Stream.MIXING, epoch, index, 1)[:, 0] * 2.0**32
        keys[index[0] : index[-1] + 1] = words.astype(np.uint64) << np.uint64(32) | index.astype(np.uint64)
    keys.sort()  # a quarter of the time and memory of a stable argsort
    return keys.astype(np.uint32)


def _synthetic_count(real: int, fraction: float | None, count: int | None) -> int:
    if fraction is not None and count is not None:
        raise InputError(f"synthetic_fraction={fraction} and synthetic_count={count} were both given. Give one.")
    if count is None:
        fraction = 0.5 if fraction is None else number("synthetic_fraction", fraction)
        if not 0.0 <= fraction < 1.0:
            raise InputError(f"synthetic_fraction is {fraction}; it must lie in [0, 1).")
        count = round(real * fraction / (1 - fraction))
    return whole_number("synthetic_count", count, 0, 30)  # products of two such numbers fit into an int64
