"""`VAESyntheticDataset`: labelled images drawn from a VAE, fetched in whole batches."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arguments import check_seed, whole_number
from ..errors import InputError
from ..model.pixels import PIL_MODES, from_batch, to_pil
from ..model.sampling import Labels
from ..model.sessions import Provider
from ..model.vae_model import VAEModel, as_model
from .seeded import SeededDataset, checked_index

OUTPUTS = ("float", "uint8", "pil")
_LATENTS_PER_DRAW = 1024  # for small batches, calling NumPy costs more than drawing the numbers


class VAESyntheticDataset(SeededDataset):
    """Labelled images drawn from a VAE, generated on request and never stored.

    Item i depends on (seed, epoch, i) alone: not on batch size, worker count, order or rank. Each
    pass of a `DataLoader` is an epoch with other images of the same labels, until `set_epoch`
    chooses one.

    >>> data = VAESyntheticDataset("mnist", length=60_000)
    >>> image, label = data[0]
    >>> image.shape, label
    (torch.Size([1, 28, 28]), 0)

    A model conditioned on an image, such as "glyphs", redraws `images` of any classes, each image
    of a class equally often on average:

    >>> few = torch.rand(20, 1, 28, 28)
    >>> labels = [0, 1] * 10
    >>> data = VAESyntheticDataset("glyphs", 1_000, images=few, labels=labels)

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`.
        length: the number of images in an epoch, 1..2**63 - 1; None = as many as `labels` lists.
        labels: "balanced" (all classes in turn), a class (index or name), a list of classes to go
            through in turn, as `top_up` gives, or a mapping from classes to weights to draw from. A
            model without classes gives the label -1. With `images`, their labels, class indices
            [N]; the classes then come in turn.
        seed: 0..2**64 - 1.
        output: "float" ([C, H, W] float32 in [0, 1]), "uint8" ([C, H, W] in 0..255) or "pil" (mode
            L or RGB).
        images: [N, C, H, W], uint8 or floating in [0, 1], for a model conditioned on an image.
        transform, target_transform: applied to each image and each label (an int), as in
            torchvision's datasets.
        keys: the keys of dicts to give in place of tuples (image, label), as Hugging Face's:
            ("image", "label").
        provider: as for `load`.

    Raises:
        InputError: a value out of range, or an unknown class or output. Errors about the model are
            those of `load`.
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
            raise InputError(
                f"length is missing; labels={labels!r} does not say how many images to generate."
            )
        length = whole_number("length", len(labels) if length is None else length, 1, 63)  # type: ignore[arg-type]
        if keys is not None and (
            not isinstance(keys, tuple | list) or len(keys) != 2 or keys[0] == keys[1]
        ):
            raise InputError(
                f"keys is {keys!r}; give the names of image and label, such as ('image', 'label')."
            )
        super().__init__(check_seed(seed))
        if output not in OUTPUTS:
            raise InputError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
        self.model = as_model(model, provider)
        if output == "pil" and self.model.spec.image_shape[0] not in PIL_MODES:
            raise InputError(
                "output='pil' needs 1 or 3 channels; the model has "
                f"{self.model.spec.image_shape[0]}."
            )
        self.length = length
        self.labels = labels
        self.output = output
        self.transform = transform
        self.target_transform = target_transform
        self.keys = keys
        self._source = self.model.source(labels, images)

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return (
            f"VAESyntheticDataset({self.model.name!r}, length={self.length}, "
            f"{self._source.argument}, seed={self.seed}, output={self.output!r}, "
            f"provider={self.model.device_type!r})"
        )

    @property
    def classes(self) -> list[str]:
        """The names of the classes; with `images`, their indices as text."""
        return list(self._source.classes)

    @property
    def has_class_names(self) -> bool:
        """Whether `classes` are names, rather than indices as text."""
        return self._source.has_names

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, by name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def targets(self) -> Tensor:
        """The labels of all items, [length] int64, the same in every epoch."""
        return torch.from_numpy(self._source.policy.at(np.arange(self.length), self.seed))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        labels, inputs = self._drawn(checked_index(indices, self.length))
        images = self._made(inputs)
        items = [to_pil(image) for image in images] if self.output == "pil" else images.unbind()
        return [
            self._finish(item, label) for item, label in zip(items, labels.tolist(), strict=True)
        ]

    def batches(self, size: int) -> Iterator[Any]:
        """Yield all items in order as (images [B, C, H, W], labels [B] int64).

        This is faster than a `DataLoader`, and starts no epoch: `set_epoch` chooses it.
        `transform` and `target_transform` are given whole batches here. torchvision's v2 transforms
        accept batches, but draw one set of parameters per batch.

        Raises:
            InputError: a size below 1, or output="pil".
        """
        size = min(whole_number("The batch size", size, 1), self.length)
        if self.output == "pil":
            raise InputError("batches() gives tensors; choose output='float' or 'uint8'.")
        count = max(size, _LATENTS_PER_DRAW // size * size)
        for start in range(0, self.length, count):
            labels, inputs = self._drawn(np.arange(start, min(start + count, self.length)))
            for first in range(0, len(labels), size):
                rows = slice(first, first + size)
                images = self._made({name: tensor[rows] for name, tensor in inputs.items()})
                yield self._finish(images, labels[rows])

    def _drawn(self, index: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """The labels of the images at `index`, and what the graph makes the images of."""
        spec = self.model.spec
        labels, inputs = self._source.draw(spec, index, self.seed, self.epoch)
        tensors = {name: torch.from_numpy(rows) for name, rows in inputs.items()}
        return torch.from_numpy(labels), tensors

    def _made(self, inputs: dict[str, Tensor]) -> Tensor:
        images = self.model.run_in_chunks(self._source.part, inputs)[0]
        return images if self.output == "float" else from_batch(images, torch.uint8)

    def _finish(self, image: Any, label: Any) -> Any:
        image = image if self.transform is None else self.transform(image)
        label = label if self.target_transform is None else self.target_transform(label)
        return (
            (image, label)
            if self.keys is None
            else dict(zip(self.keys, (image, label), strict=True))
        )
