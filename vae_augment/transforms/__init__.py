"""`VAEAugment`, the pure functions that it is made of, and distortions by which it is judged."""

from ..model.pixels import opaque, scaled
from .augment import VAEAugment
from .distortions import (
    affine,
    affine_elastic,
    crop_flip_light,
    flip_shift,
    thickness,
    thickness_affine_elastic,
)
from .orientation import transposed

__all__ = [
    "VAEAugment",
    "affine",
    "affine_elastic",
    "crop_flip_light",
    "flip_shift",
    "opaque",
    "scaled",
    "thickness",
    "thickness_affine_elastic",
    "transposed",
]
