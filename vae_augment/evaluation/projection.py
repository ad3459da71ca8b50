"""Latents in two dimensions."""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_TSNE_IMAGES = 2_000  # the time of t-SNE grows with the square of their number


def rows_to_draw(count: int, how: str) -> NDArray[np.int64]:
    """Which of `count` images to project.

    For t-SNE at most 2,000, from all over, as they may be sorted by class.
    """
    drawn = min(count, _TSNE_IMAGES) if how == "tsne" else count
    return np.linspace(0, count - 1, drawn).astype(np.int64)


def project(mean: NDArray[np.float32], how: str = "pca") -> NDArray[np.float32]:
    """Means [N, D] -> points [N, 2], by the first two principal components or by t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if how not in ("pca", "tsne"):
        raise InputError(f"projection is {how!r}; choose one of pca, tsne.")
    method = PCA(2) if how == "pca" else TSNE(2, random_state=0, init="pca")
    return method.fit_transform(mean).astype(np.float32)
