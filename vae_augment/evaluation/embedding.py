"""Latents of many images, and their place on a plane."""

import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..files import save_arrays
from ..runtime import VAEModel

PROJECTIONS = ("pca", "tsne")
_TSNE_IMAGES = 2_000  # t-SNE grows with the square of their number
_BATCH = 1024


class Embedding(NamedTuple):
    """Means and log-variances [N, D] float32, and labels [N] int64."""

    mean: NDArray[np.float32]
    logvar: NDArray[np.float32]
    labels: NDArray[np.int64]


def embed_images(model: VAEModel, images: Tensor, labels: Tensor) -> Embedding:
    """Encode images [N, C, H, W] without their labels, which only travel along."""
    parts = [model.encode(batch) for batch in images.split(_BATCH)]
    mean, logvar = (torch.cat(moments).numpy() for moments in zip(*parts, strict=True))
    return Embedding(mean, logvar, labels.numpy())


def save_embedding(embedding: Embedding, path: str | os.PathLike[str]) -> None:
    """Write the arrays as .npz, atomically."""
    save_arrays(path, embedding._asdict())


def project(mean: NDArray[np.float32], how: str = "pca") -> NDArray[np.float32]:
    """Means [N, D] -> points [N', 2], by the first two principal components, or by t-SNE of the first 2,000."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if how not in PROJECTIONS:
        raise InputError(f"projection is {how!r}; choose one of {', '.join(PROJECTIONS)}.")
    if how == "pca":
        return PCA(2).fit_transform(mean).astype(np.float32)
    return TSNE(2, random_state=0, init="pca").fit_transform(mean[:_TSNE_IMAGES]).astype(np.float32)
