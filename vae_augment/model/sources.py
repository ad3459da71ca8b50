"""What generated images are made of: the label and the inputs of image i, as functions of i.

Without torch at import, because processes that only generate have none.
"""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..files import digest_of
from ..noise import Stream, normals, uniforms
from .facts import Facts
from .sampling import LabelPolicy, draw_latents

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Source(ABC):
    """What generation takes for image i, beside the model.

    Attributes:
        part: the part of the graph that makes images of the inputs.
        policy: which class each image has.
        classes: the names of the classes.
        has_names: whether these are names that somebody chose, rather than indices as text.
        argument: the argument of `VAESyntheticDataset` that says where the images come from.
    """

    part: ClassVar[str]
    policy: LabelPolicy
    classes: tuple[str, ...]
    has_names: bool
    argument: str

    def digest(self) -> str | None:
        """The sha256 of what images depend on besides the model file, the policy and the seed."""
        return None

    def draw(
        self, model: Facts, index: NDArray[np.int64], seed: int, epoch: int = 0
    ) -> tuple[NDArray[np.int64], Inputs]:
        """The labels [B] and the inputs of `part` for the images at `index` [B].

        Row r is a function of (index[r], seed, epoch) alone. Labels do not change with the epoch.
        """
        labels = self.policy.at(index, seed)
        noise = normals(seed, Stream.LATENT, epoch, index, model.latent_dim)
        choice = uniforms(seed, Stream.COMPONENT, epoch, index, 1)[:, 0]
        return labels, self._inputs(model, labels, choice, noise)

    @abstractmethod
    def _inputs(
        self,
        model: Facts,
        labels: NDArray[np.int64],
        choice: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> Inputs:
        """The inputs for images of the `labels` [B].

        The random numbers are `choice` [B], uniform in (0, 1), and `noise` [B, D], standard normal.
        """


@dataclass(frozen=True)
class LatentSource(Source):
    """Latents of the model's own distribution, for its decoder."""

    part = "decoder"

    def _inputs(
        self,
        model: Facts,
        labels: NDArray[np.int64],
        choice: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> Inputs:
        latent = draw_latents(model.latents, labels, choice, noise)
        return {"latent": latent, "label": labels} if model.conditional else {"latent": latent}


@dataclass(frozen=True)
class ImageSource(Source):
    """Images to redraw, each image of a class equally often on average, for the whole graph."""

    part = "whole"
    images: NDArray[Any] = field(repr=False)  # [N, C, H, W], uint8 or float32 in [0, 1]
    labels: NDArray[np.int64] = field(repr=False)  # the class index of each, [N], at least 0

    @functools.cached_property
    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The classes that occur, how many images each has, and the rows of all images by class."""
        present, counts = np.unique(self.labels, return_counts=True)
        return present, counts, np.argsort(self.labels, kind="stable")

    def digest(self) -> str:
        """The sha256 of the images and their labels."""
        return digest_of(self.images, self.labels)

    def _inputs(
        self,
        model: Facts,
        labels: NDArray[np.int64],
        choice: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> Inputs:
        images = self.images[self._rows(labels, choice)]
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        strength = np.ones(len(labels), np.float32)
        return {"image": images, "noise": noise.astype(np.float32), "strength": strength}

    def _rows(self, labels: NDArray[np.int64], choice: NDArray[np.float64]) -> NDArray[np.int64]:
        """A row of each label's class."""
        present, counts, order = self._groups
        group = np.searchsorted(present, labels)
        starts = counts.cumsum() - counts
        place = (choice * counts[group]).astype(np.int64)
        return order[starts[group] + place]
