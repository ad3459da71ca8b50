"""Labelled images in memory."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from ...files import digest_of

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ImageData:
    """Images [N, C, H, W] uint8, labels [N] int64 with -1 = unknown, names of the classes, and of the files if any."""

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


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
