"""`AugmentedDataset`: images pass through a transform, one run per fetched batch."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten  # as torchvision's transforms do
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2.functional import pil_to_tensor

from ..arguments import one_per_image
from ..errors import InputError
from ..model import advice
from ..model.pixels import PIL_MODES, to_pil
from ..transforms.augment import VAEAugment, default_labels, is_image
from ..transforms.perturbation import PARTNER_MODES
from .classes import names_of, targets_of
from .orientation import WAY_OUT, holds_transposed
from .seeded import SeededDataset, checked_index, fetch
from .wrappers import check_map_style


class AugmentedDataset(SeededDataset):
    """A dataset with a transform that runs once per batch that a DataLoader fetches.

    The first image of each item, a PIL image or a tensor [C, H, W], is replaced by the transformed
    one; everything else in the item stays as it is. Images of one type, dtype and shape are
    transformed together. The transform gets PIL images of mode L and RGB as uint8 tensors, and
    items get PIL images back if it returns uint8 tensors.

    >>> real = datasets.MNIST("data", transform=v2.ToImage())
    >>> data = AugmentedDataset(real, VAEAugment("mnist"), seed=0)
    >>> loader = DataLoader(data, batch_size=128, num_workers=2)

    Args:
        dataset: any map-style dataset whose items are images, or tuples, lists or dicts that
            contain one.
        transform: a `VAEAugment`, or a `v2.Compose` of transforms of batches [B, C, H, W]. Most of
            torchvision's random transforms draw one set of parameters per batch. With a
            `labels_getter`, the labels of a batch are passed too: they are looked for in each item
            as "default" says, or by the function of a lone `VAEAugment`.
        seed: None = all randomness is from torch's global generator. 0..2**64 - 1 = item i depends
            on (seed, epoch, i) alone, not on batch size, worker count or order: each pass of a
            `DataLoader` is an epoch, until `set_epoch` chooses one. It needs a `VAEAugment` as the
            transform.

    Raises:
        InputError: a stream, a seed out of range, a seed with another transform or with a mode
            whose partners come from the batch. When fetched: an item without an image. Errors about
            an image are those of the transform.
    """

    def __init__(
        self, dataset: Dataset[Any], transform: Callable[..., Any], *, seed: int | None = None
    ) -> None:
        check_map_style("dataset", dataset)
        super().__init__(seed, dataset)
        self.dataset = dataset
        self.transform = transform
        self._needs_labels = _needs_labels(transform)
        if holds_transposed(dataset):
            warnings.warn(
                f"The images are transposed, as torchvision's EMNIST holds them. {WAY_OUT}",
                stacklevel=2,
            )
        if seed is None:
            return
        if not isinstance(transform, VAEAugment):
            raise InputError(
                f"seed is {seed}, but the transform is a {type(transform).__name__}, not a "
                "VAEAugment."
            )
        if transform.mode in PARTNER_MODES and self._needs_labels:
            raise InputError(
                f"seed is {seed}, but mode={transform.mode!r} with a labels_getter takes partners "
                "from the batch, so items depend on the batch. Leave out one of the two."
            )

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    @property
    def classes(self) -> list[str]:
        """The names of the classes of `dataset`, by index."""
        return names_of(self.dataset)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, by name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def targets(self) -> Any:
        """The labels of all items, as `dataset` holds them, else a list."""
        return targets_of(self.dataset)

    def __repr__(self) -> str:
        return f"AugmentedDataset({self.dataset!r}, {self.transform!r}, seed={self.seed})"

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        index = checked_index(indices, len(self))
        items = fetch(self.dataset, index)
        parts = [_Parts(item) for item in items]
        groups: dict[Any, list[int]] = {}
        for row, part in enumerate(parts):
            groups.setdefault(_kind(part.image), []).append(row)
        for rows in groups.values():
            images = self._transformed([parts[row].image for row in rows], items[rows], index[rows])
            for row, image in zip(rows, images, strict=True):
                parts[row].image = image
        return [part.joined() for part in parts]

    def _transformed(
        self, images: list[Any], items: NDArray[np.object_], index: NDArray[np.int64]
    ) -> Sequence[Any]:
        labels = [self._label(item) for item in items] if self._needs_labels else None
        first = images[0]
        is_pil = isinstance(first, Image.Image)
        if is_pil and not _fits_into_batch(first):
            return [self._run(first, labels, index)]
        batch = torch.stack([pil_to_tensor(image) if is_pil else image for image in images])
        if _is_tv_tensor(first):
            batch = tv_tensors.wrap(batch, like=first)
        output = self._run(batch, labels, index)
        if not isinstance(output, Tensor) or output.shape[:1] != (len(images),):
            raise InputError(
                f"The transform made a {type(output).__name__} of {len(images)} images, not as "
                "many."
            )
        is_plain_uint8 = type(output) is Tensor and output.dtype is torch.uint8
        if is_pil and is_plain_uint8 and output.shape[1] in PIL_MODES:
            return [to_pil(image) for image in output]
        if _is_tv_tensor(output):
            return [tv_tensors.wrap(image, like=output) for image in output]
        return output.unbind()

    def _label(self, item: Any) -> Any:
        getter = self.transform.labels_getter if isinstance(self.transform, VAEAugment) else None
        return getter(item) if callable(getter) else default_labels(item)

    def _run(self, images: Any, labels: list[Any] | None, index: NDArray[np.int64]) -> Any:
        if not isinstance(self.transform, VAEAugment):
            if labels is None:
                return self.transform(images)
            found = one_per_image(labels)
            is_text = found.dtype == object
            return self.transform(images, list(found) if is_text else torch.from_numpy(found))[0]
        transform = self.transform if labels is None else self.transform.with_labels(labels)
        if self.seed is None:
            return transform.transform(images, transform.make_params([images]))
        return transform.transform(images, transform.seeded_params(self.seed, self.epoch, index))


class _Parts:
    """An item, taken apart into its first image and the rest."""

    def __init__(self, item: Any) -> None:
        self._leaves, self._structure = tree_flatten(item)
        places = [
            place
            for place, leaf in enumerate(self._leaves)
            if is_image(leaf) and getattr(leaf, "ndim", 3) >= 3
        ]
        if not places:
            fact = "AugmentedDataset found no image in an item"
            raise InputError(advice.on_no_image(fact, self._leaves))
        self._place = places[0]
        self.image = self._leaves[self._place]

    def joined(self) -> Any:
        """The item again, with `image` as its image."""
        self._leaves[self._place] = self.image
        return tree_unflatten(self._leaves, self._structure)


def _kind(image: Any) -> Any:
    """What images must have in common to be transformed together."""
    if not isinstance(image, Image.Image):
        return type(image), image.dtype, image.shape, image.device
    return (image.mode, image.size) if _fits_into_batch(image) else object()  # equal to no other


def _fits_into_batch(image: Image.Image) -> bool:
    """Whether a tensor holds all that the PIL image shows."""
    return image.mode in PIL_MODES.values() and not image.has_transparency_data


def _is_tv_tensor(image: Any) -> bool:
    return isinstance(image, tv_tensors.TVTensor)


def _needs_labels(transform: Any) -> bool:
    if isinstance(transform, VAEAugment):
        return transform.labels_getter is not None
    return any(_needs_labels(inner) for inner in getattr(transform, "transforms", ()))
