"""Images that a model redraws, each image of a class equally often."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..noise import Stream, uniforms
from .sampling import LabelPolicy


@dataclass(frozen=True)
class Originals:
    """Images for a model conditioned on an image to redraw, each image of a class equally often on average."""

    images: NDArray[Any]  # [N, C, H, W], uint8 or float32 in [0, 1]
    labels: NDArray[np.int64]  # the class index of each, [N], at least 0
    classes: tuple[str, ...]  # the names of the classes

    @functools.cached_property
    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The classes that occur, how many images each has, and the rows of all images sorted by class."""
        present, counts = np.unique(self.labels, return_counts=True)
        return present, counts, np.argsort(self.labels, kind="stable")

    @property
    def policy(self) -> LabelPolicy:
        """The classes that occur, in turn."""
        return LabelPolicy(tuple(self._groups[0].tolist()))

    def chosen(
        self, labels: NDArray[np.int64], index: NDArray[np.int64], seed: int, epoch: int = 0
    ) -> NDArray[np.float32]:
        """One image of each of the `labels` [B], for the generated images at `index` [B].

        [B, C, H, W] in [0, 1].
        """
        present, counts, order = self._groups
        group = np.searchsorted(present, labels)
        starts = counts.cumsum() - counts
        choice = uniforms(seed, Stream.COMPONENT, epoch, index, 1)[:, 0]
        images = self.images[order[starts[group] + (choice * counts[group]).astype(np.int64)]]
        return images / np.float32(255) if images.dtype == np.uint8 else images  # type: ignore[return-value]
