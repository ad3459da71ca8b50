"""Latents of images in two dimensions, and as 8 bits per dimension, which is a lossy compression of the images."""

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
    """Quantised means [N, D] uint8, the range of each dimension [2, D] float32, and the sha256 of the model."""

    codes: NDArray[np.uint8]
    span: NDArray[np.float32]
    sha256: str


def compress(model: VAEModel, images: Tensor) -> Compressed:
    """Encode images [N, C, H, W] and quantise their means, each dimension over its own range."""
    mean = model.encode(images)[0].numpy()
    span = np.stack([mean.min(0), mean.max(0)])
    step = np.maximum(span[1] - span[0], 1e-12) / _LEVELS
    return Compressed(np.rint((mean - span[0]) / step).astype(np.uint8), span, model.sha256)


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
    latent = torch.from_numpy(
        (low + compressed.codes * ((high - low) / _LEVELS)).astype(np.float32)
    )
    return model.decode(latent)


def load_compressed(path: str | os.PathLike[str]) -> Compressed:
    """Read a file of `vae-augment compress`; `ModelFormatError` for any other."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Compressed(arrays["codes"], arrays["span"], str(arrays["sha256"]))
    except (ValueError, KeyError) as error:
        raise ModelFormatError(f"{path} is not a file of vae-augment compress: {error}.") from None
