"""Labelled images in memory."""

import os
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import InputError
from ...files import digest_of

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ImageData:
    """Images [N, C, H, W] uint8, labels [N] int64 with -1 = unknown, and the names of the classes.

    `files` are the names of the images' files, where they come from files.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.images):
            raise InputError(f"{self.name} holds no images. Give at least one, or another source.")
        if 0 in self.images.shape:
            raise InputError(
                f"{self.name} holds images of shape {self.image_shape}, which have no pixels."
            )
        if self.labels.dtype != torch.int64:  # others would be cut off or never match a class
            raise InputError(
                f"{self.name} has labels of type {self.labels.dtype}; give int64, -1 = unknown."
            )
        if self.labels.shape != (len(self.images),):
            raise InputError(
                f"{self.name} has labels of shape {tuple(self.labels.shape)} for "
                f"{len(self.images)} images; give one per image, or leave the labels out: "
                "torch.full((len(images),), -1)."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that other images or labels would change."""
        return digest_of(self.images.numpy(), self.labels.numpy())[:16]

    def subset(self, index: Tensor) -> "ImageData":
        """The images and labels at `index`."""
        files = (
            tuple(self.files[row] for row in torch.arange(len(self))[index].tolist())
            if self.files
            else ()
        )
        return ImageData(self.name, self.images[index], self.labels[index], self.classes, files)

    def empty_classes(self) -> tuple[str, ...]:
        """The names of the classes of which there is no image."""
        seen = set(self.labels.unique().tolist())
        return tuple(name for label, name in enumerate(self.classes) if label not in seen)

    def without_empty_classes(self) -> "ImageData":
        """The same images; the classes that have images are numbered anew, in the same order."""
        kept = [label for label in self.labels.unique().tolist() if 0 <= label < len(self.classes)]
        new = torch.full((len(self.classes) + 1,), -1)  # the last is that of the label -1
        new[kept] = torch.arange(len(kept))
        classes = tuple(self.classes[label] for label in kept)
        return replace(self, labels=new[self.labels], classes=classes)


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
