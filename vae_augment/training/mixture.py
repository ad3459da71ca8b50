"""Where the latents of the training images lie: what generation draws from instead of N(0, I)."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..spec import Latents
from .data import ImageData, to_float

MAX_COMPONENTS = 20
MAX_POINTS = 3_000  # of one class; more do not move the fit and cost time
BANK_PER_CLASS = 64
BANK_UNLABELLED = 512


Encode = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


def fit_latents(encode: Encode, data: ImageData, seed: int = 0) -> Latents:
    """Fit one Gaussian mixture a class (one in all without labels) to samples of the posteriors of `data`.

    `encode` turns images [B, C, H, W] in [0, 1] and labels [B] or None into means and log-variances, each [B, D].

    A class of at most `MAX_COMPONENTS` images gets its posteriors themselves as components, as in an exemplar prior
    (Norouzi et al., "Exemplar VAE", 2020); a class without images gets the mixture of all.
    """
    generator = np.random.default_rng(seed)
    labels = data.labels.numpy() if data.classes else np.full(len(data), -1)
    moments = encode_all(encode, data.images, data.labels)
    everything = fit_mixture(*moments, generator)
    groups = [np.flatnonzero(labels == index) for index in range(len(data.classes))]
    mixtures = [
        fit_mixture(moments[0][rows], moments[1][rows], generator) if len(rows) else everything for rows in groups
    ]
    weights, means, scales = _stack(mixtures or [everything])
    rows = _bank_rows(groups, len(data), generator)
    return Latents(
        weights=weights,
        means=means,
        scales=scales,
        bank=encode_all(encode, data.images[rows], None)[0],
        bank_given_label=moments[0][rows],
        bank_labels=labels[rows],
    )


@torch.inference_mode()
def encode_all(
    encode: Encode, images: Tensor, labels: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations of the posteriors of uint8 images, each [N, D]."""
    moments = [
        encode(to_float(images[row : row + 1024]), None if labels is None else labels[row : row + 1024])
        for row in range(0, len(images), 1024)
    ]
    mean, logvar = (torch.cat(parts) for parts in zip(*moments, strict=True))
    return mean.numpy(), (0.5 * logvar).exp().numpy()


Mixture = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # weights, means, Cholesky factors


def fit_mixture(mean: NDArray[np.float32], std: NDArray[np.float32], generator: np.random.Generator) -> Mixture:
    """A Gaussian mixture of the aggregate posterior of one group."""
    count, dim = mean.shape
    if count <= MAX_COMPONENTS:
        return np.full(count, 1 / count), mean.astype(np.float64), std[:, :, None].astype(np.float64) * np.eye(dim)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    rows = generator.choice(count, MAX_POINTS, replace=count < MAX_POINTS)
    points = mean[rows] + std[rows] * generator.standard_normal((MAX_POINTS, dim))
    components = int(np.clip(count // (2 * dim), 1, MAX_COMPONENTS))
    model = GaussianMixture(components, reg_covar=1e-4, random_state=int(generator.integers(2**31)), max_iter=50)
    with warnings.catch_warnings():
        # 50 rounds are enough to draw from; waiting for the last digit of the likelihood is not worth it
        warnings.simplefilter("ignore", ConvergenceWarning)
        with threadpool_limits(1):  # its small matrices lose more to thread switching than they gain
            model.fit(points)
    return model.weights_, model.means_, np.linalg.cholesky(model.covariances_)


def _stack(mixtures: list[Mixture]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Pad every mixture to the same number of components with components of weight zero."""
    most = max(len(weights) for weights, _, _ in mixtures)
    padded = [
        tuple(np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]))]) for array in mixture)
        for mixture in mixtures
    ]
    weights, means, scales = (np.stack(arrays).astype(np.float32) for arrays in zip(*padded, strict=True))
    return weights, means, scales


def _bank_rows(groups: list[NDArray[np.intp]], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    if not any(len(rows) for rows in groups):
        return np.sort(generator.permutation(count)[:BANK_UNLABELLED])
    return np.concatenate([np.sort(generator.permutation(rows)[:BANK_PER_CLASS]) for rows in groups])
