"""Measure the unit of `VAEAugment`'s strength on images of the training.

Strength 1 changes the pixels of an image by `CHANGE` of the range, on average, compared with what
strength 0 gives. All classes count the same, however many images they have.
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

# A mean absolute difference of pixels, which can be seen and leaves the labels of all but 3 of 100
# digits, symbols and characters as they are: docs/modes/index.md has the table.
CHANGE = 0.022
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

    It is empty where there is no unit, because no noise changes the images by as much.

    Args:
        encode: images [B, C, H, W] in [0, 1] and labels (None) -> mean and log-variance, [B, D].
        decode: latents [B, D], labels (None) and the encoded images -> images in [0, 1].
        kind: of the model.
        data: images of the training.
    """
    rows = _evenly_over_classes(data.labels, MOVED)
    change = _Change(encode, decode, to_float(data.images[rows]), kind)
    if not change(SMALLEST_UNIT) < CHANGE < change(LARGEST_UNIT):
        return {}
    unit = _bisected(lambda unit: change(unit) < CHANGE)
    return {STRENGTH: {"unit": unit, "changes": CHANGE}}


def _evenly_over_classes(labels: Tensor, count: int) -> Tensor:
    """`count` rows, as many of one label [N] as of any other; a row may occur more than once."""
    by_class = labels.argsort(stable=True)
    index = labels[by_class] - labels.min()
    filled = (1 / index.bincount()[index].double()).cumsum(0)  # up to the number of classes
    places = (torch.arange(count) + 0.5) / count * filled[-1]
    return by_class[torch.searchsorted(filled, places)]


class _Change:
    """By how much noise of the posterior, times a factor, changes images."""

    def __init__(self, encode: Encode, decode: Decode, images: Tensor, kind: Kind) -> None:
        moments = [encode(batch, None) for batch in images.split(AT_ONCE)]
        self._images = images
        self._decode = decode
        self._adds_change = kind.residuals[0]
        self._mean, self._logvar = (torch.cat(found) for found in zip(*moments, strict=True))
        index = np.arange(len(images))
        noise = normals(0, Stream.AUGMENT_NOISE, 0, index, self._mean.shape[1])
        self._noise = torch.from_numpy(noise.astype(np.float32))
        self._before = self._decoded(self._mean)

    def __call__(self, factor: float) -> float:
        after = self._decoded(self._mean + factor * (0.5 * self._logvar).exp() * self._noise)
        change = after - self._before
        if self._adds_change:
            change = (self._images + change).clamp(0, 1) - self._images
        return change.abs().mean().item()

    def _decoded(self, latents: Tensor) -> Tensor:
        pairs = zip(latents.split(AT_ONCE), self._images.split(AT_ONCE), strict=True)
        return torch.cat([self._decode(latent, None, images) for latent, images in pairs])


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
