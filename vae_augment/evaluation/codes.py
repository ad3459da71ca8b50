"""Latents of images in two dimensions, and as 8 bits per dimension, which is a lossy compression of the images."""

import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, ModelFormatError
from ..runtime import VAEModel

_TSNE_IMAGES = 2_000  # the time of t-SNE grows with the square of their number
_LEVELS = 255


def rows_to_draw(count: int, how: str) -> NDArray[np.int64]:
    """Which of `count` images to project: for t-SNE at most 2,000, from all over, as they may be sorted by class."""
    return np.linspace(0, count - 1, min(count, _TSNE_IMAGES) if how == "tsne" else count).astype(np.int64)


def project(mean: NDArray[np.float32], how: str = "pca") -> NDArray[np.float32]:
    """Means [N, D] -> points [N, 2], by the first two principal components or by t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if how not in ("pca", "tsne"):
        raise InputError(f"projection is {how!r}; choose one of pca, tsne.")
    method = PCA(2) if how == "pca" else TSNE(2, random_state=0, init="pca")
    return method.fit_transform(mean).astype(np.float32)


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
    """Decode to images [N, C, H, W] in [0, 1]; `InputError` for another model than the one that compressed."""
    if compressed.sha256 != model.sha256:
        raise InputError(
            f"The file was compressed with the model of sha256 {compressed.sha256[:16]}..., but {model.name!r} has "
            f"{model.sha256[:16]}.... Only the same model can decode it."
        )
    low, high = compressed.span
    latent = torch.from_numpy((low + compressed.codes * ((high - low) / _LEVELS)).astype(np.float32))
    return model.decode(latent)


def load_compressed(path: str | os.PathLike[str]) -> Compressed:
    """Read a file of `vae-augment compress`; `ModelFormatError` for any other."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Compressed(arrays["codes"], arrays["span"], str(arrays["sha256"]))
    except (ValueError, KeyError) as error:
        raise ModelFormatError(f"{path} is not a file of vae-augment compress: {error}.") from None
