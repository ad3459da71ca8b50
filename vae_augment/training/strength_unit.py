"""Measure the unit of `VAEAugment`'s strength on images of the training.

At strength 1 an image moves, on average, by a fixed share of its distance from the nearest other
image of its class (`Kind.share_of_distance`), where images of a class are 100. Distances are root
mean squares over the pixels.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model.kinds import Kind
from ..model.strength import LARGEST_UNIT, STRENGTH
from ..noise import Stream, normals
from .data.image_data import ImageData, to_float

PER_CLASS = 100  # images among which the nearest is looked for: with more of them it is nearer
MOST_CLASSES = 100
WITHOUT_CLASSES = 1000
MOVED = 500  # images that are perturbed
AT_ONCE = 250
SMALLEST_UNIT = 1 / 64
STEPS = 14  # of a bisection, which leave an error of 0.1 %

Encode = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
Decode = Callable[[Tensor, Tensor | None, Tensor], Tensor]


@torch.inference_mode()
def measure_unit(
    encode: Encode, decode: Decode, kind: Kind, data: ImageData
) -> dict[str, dict[str, Any]]:
    """The evidence that a file keeps of its unit of strength, by its name.

    It is empty where there is no unit: no two images of a class differ, or no noise moves them by
    as much.

    Args:
        encode: images [B, C, H, W] in [0, 1] and labels (None) -> mean and log-variance, [B, D].
        decode: latents [B, D], labels (None) and the encoded images -> images in [0, 1].
        kind: of the model.
        data: images of the training.
    """
    distance, rows = _distance(data)
    images = to_float(data.images[rows[_evenly(len(rows), MOVED)]])
    move = _Move(encode, decode, images, adds_change=kind.residuals[0])
    wanted = kind.share_of_distance * distance
    if not move(SMALLEST_UNIT)[0] < wanted < move(LARGEST_UNIT)[0]:
        return {}
    unit = _bisected(lambda unit: move(unit)[0] < wanted)
    entry = {
        "unit": unit,
        "moves": round(move(unit)[1], 4),
        "distance": round(distance, 4),
        "share": kind.share_of_distance,
    }
    return {STRENGTH: entry}


class _Move:
    """How far noise moves images: the mean over images of root mean squares, and of all pixels."""

    def __init__(
        self, encode: Encode, decode: Decode, images: Tensor, *, adds_change: bool
    ) -> None:
        moments = [encode(batch, None) for batch in images.split(AT_ONCE)]
        self._images = images
        self._decode = decode
        self._mean, self._logvar = (torch.cat(found) for found in zip(*moments, strict=True))
        index = np.arange(len(images))
        noise = normals(0, Stream.AUGMENT_NOISE, 0, index, self._mean.shape[1])
        self._noise = torch.from_numpy(noise.astype(np.float32))
        self._before = self._decoded(self._mean) if adds_change else None

    def __call__(self, factor: float) -> tuple[float, float]:
        latent = self._mean + factor * (0.5 * self._logvar).exp() * self._noise
        result = self._decoded(latent)
        if self._before is not None:
            result = (self._images + result - self._before).clamp(0, 1)
        change = (result - self._images).flatten(1)
        return change.square().mean(1).sqrt().mean().item(), change.abs().mean().item()

    def _decoded(self, latents: Tensor) -> Tensor:
        pairs = zip(latents.split(AT_ONCE), self._images.split(AT_ONCE), strict=True)
        return torch.cat([self._decode(latent, None, images) for latent, images in pairs])


def _distance(data: ImageData) -> tuple[float, Tensor]:
    """The mean distance of an image from the nearest other one of its class, and the rows used."""
    groups = _groups(data)
    nearest = [_nearest(data.images[rows]) for rows in groups]
    return float(torch.cat(nearest).mean()), torch.cat(groups)


def _groups(data: ImageData) -> list[Tensor]:
    """Rows of images of one class; of all images where no class has two."""
    labels = data.labels[data.labels >= 0].unique()
    chosen = labels[_evenly(len(labels), MOST_CLASSES)]
    found = [(data.labels == label).nonzero()[:, 0] for label in chosen]
    pairs = [rows[_evenly(len(rows), PER_CLASS)] for rows in found if len(rows) > 1]
    return pairs or [_evenly(len(data), WITHOUT_CLASSES)]


def _nearest(images: Tensor) -> Tensor:
    """How far each image is from the nearest other one, [N]; 0 for a lone image."""
    pixels = to_float(images).flatten(1)
    distances = torch.cdist(pixels, pixels)
    if len(images) == 1:
        return distances[0]
    distances.fill_diagonal_(torch.inf)
    return distances.amin(1) / math.sqrt(pixels.shape[1])


def _evenly(count: int, most: int) -> Tensor:
    """At most `most` rows from all over `count` of them."""
    return torch.linspace(0, count - 1, min(count, most)).long()


def _bisected(is_below: Callable[[float], bool]) -> float:
    """The factor between the smallest and the largest unit where `is_below` ends, 3 digits."""
    low = math.log(SMALLEST_UNIT)
    high = math.log(LARGEST_UNIT)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if is_below(math.exp(middle)):
            low = middle
        else:
            high = middle
    return float(f"{math.exp((low + high) / 2):.3g}")
