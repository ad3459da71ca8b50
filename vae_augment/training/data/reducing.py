"""Large images, reduced for what measures a model, and handled few at a time."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .image_data import to_float

LARGEST_SIDE = 32  # in pixels; a classifier of larger images takes minutes, their covariance GB
IMAGES_AT_ONCE = 1_000


def reduced(images: Tensor) -> Tensor:
    """Images [N, C, H, W], uint8 or in [0, 1] -> in [0, 1], of at most `LARGEST_SIDE` a side."""
    height, width = images.shape[2:]
    share = min(1.0, LARGEST_SIDE / max(height, width))
    size = (max(1, round(share * height)), max(1, round(share * width)))
    parts = []
    for part in images.split(images_at_once(images)):
        pixels = to_float(part) if part.dtype is torch.uint8 else part
        parts.append(pixels if share == 1 else F.interpolate(pixels, size, mode="area"))
    return torch.cat(parts)


def images_at_once(images: Tensor) -> int:
    """How many images are handled at a time: fewer large ones, for the memory."""
    return min(IMAGES_AT_ONCE, max(10, affordable(images, IMAGES_AT_ONCE)))


def affordable(images: Tensor, count: int) -> int:
    """How many images cost as much as `count` of `LARGEST_SIDE` x `LARGEST_SIDE` pixels."""
    height, width = images.shape[2:]
    return count * LARGEST_SIDE**2 // (height * width)
