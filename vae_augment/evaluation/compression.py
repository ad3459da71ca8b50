"""Lossy compression of images: their latents, with 8 bits per dimension."""

import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, ModelFormatError
from ..model.vae_model import VAEModel

_LEVELS = 255


class Compressed(NamedTuple):
    """What `compress` gives.

    Attributes:
        codes: quantised means, [N, D] uint8.
        span: smallest and largest mean of each dimension, [2, D] float32.
        sha256: of the model file.
    """

    codes: NDArray[np.uint8]
    span: NDArray[np.float32]
    sha256: str


def compress(model: VAEModel, images: Tensor) -> Compressed:
    """Encode images [N, C, H, W] and quantise their means, each dimension over its own range."""
    mean = model.encode(images)[0].numpy()
    low = mean.min(0)
    high = mean.max(0)
    step = np.maximum(high - low, 1e-12) / _LEVELS
    codes = np.rint((mean - low) / step).astype(np.uint8)
    return Compressed(codes, np.stack([low, high]), model.sha256)


def decompress(model: VAEModel, compressed: Compressed) -> Tensor:
    """Decode to images [N, C, H, W] in [0, 1].

    `InputError` for another model than the one that compressed.
    """
    if compressed.sha256 != model.sha256:
        raise InputError(
            f"The file was compressed with the model of sha256 {compressed.sha256[:16]}..., but "
            f"{model.name!r} has {model.sha256[:16]}.... Only the same model can decode it."
        )
    low, high = compressed.span
    step = (high - low) / _LEVELS
    mean = low + compressed.codes * step
    return model.decode(torch.from_numpy(mean.astype(np.float32)))


def load_compressed(path: str | os.PathLike[str]) -> Compressed:
    """Read a file of `vae-augment compress`; `ModelFormatError` for any other."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Compressed(arrays["codes"], arrays["span"], str(arrays["sha256"]))
    except (ValueError, KeyError) as error:
        raise ModelFormatError(f"{path} is not a file of vae-augment compress: {error}.") from None
