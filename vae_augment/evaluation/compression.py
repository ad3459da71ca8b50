"""Images as latents of 8 bits a dimension: lossy compression by the model that decodes them."""

import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, ModelFormatError
from ..files import save_arrays
from ..runtime import VAEModel

_BATCH = 1024
_LEVELS = 255


class Compressed(NamedTuple):
    """Quantised means [N, D] uint8, the range of each dimension [2, D] float32, and the sha256 of the model."""

    codes: NDArray[np.uint8]
    span: NDArray[np.float32]
    sha256: str


def compress(model: VAEModel, images: Tensor) -> Compressed:
    """Encode images [N, C, H, W] and quantise their means, each dimension over its own range."""
    mean = torch.cat([model.encode(batch)[0] for batch in images.split(_BATCH)]).numpy()
    span = np.stack([mean.min(0), mean.max(0)])
    step = np.maximum(span[1] - span[0], 1e-12) / _LEVELS
    return Compressed(np.rint((mean - span[0]) / step).astype(np.uint8), span, model.sha256)


def decompress(model: VAEModel, compressed: Compressed) -> Tensor:
    """The images [N, C, H, W] in [0, 1] that the codes stand for; `InputError` for another model than the coder's."""
    if compressed.sha256 != model.sha256:
        raise InputError(
            f"The file was compressed with the model of sha256 {compressed.sha256[:16]}..., but {model.name!r} has "
            f"{model.sha256[:16]}.... Only the same model can decode it."
        )
    low, high = compressed.span
    latent = torch.from_numpy((low + compressed.codes * ((high - low) / _LEVELS)).astype(np.float32))
    return torch.cat([model.decode(batch) for batch in latent.split(_BATCH)])


def save_compressed(compressed: Compressed, path: str | os.PathLike[str]) -> None:
    """Write one .npz, atomically; zip's own compression takes what the quantisation leaves."""
    save_arrays(path, compressed._asdict(), compress=True)


def load_compressed(path: str | os.PathLike[str]) -> Compressed:
    """Read what `save_compressed` wrote; `ModelFormatError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Compressed(arrays["codes"], arrays["span"], str(arrays["sha256"]))
    except (ValueError, KeyError) as error:
        raise ModelFormatError(f"{path} is not a file of vae-augment compress: {error}.") from None


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in decibels, over all pixels."""
    return -10 * torch.log10((images - others).square().mean().clamp(min=1e-12)).item()
