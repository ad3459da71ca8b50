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
MAX_POINTS = 3_000  # per mixture; more do not change the fit and take longer
BANK_PER_CLASS = 64
BANK_UNLABELLED = 512

Encode = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
Mixture = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # weights, means, Cholesky factors


def fit_latents(encode: Encode, data: ImageData, seed: int = 0) -> Latents:
    """Fit one Gaussian mixture per class (a single one without labels) to samples of the posteriors of `data`.

    `encode` turns images [B, C, H, W] in [0, 1] and labels [B] or None into means and log-variances, each [B, D].

    A class of at most `MAX_COMPONENTS` images gets the posteriors of its images as components, as in an exemplar
    prior (Norouzi et al., "Exemplar VAE", 2020); a class without images gets the mixture of all images.
    """
    generator = np.random.default_rng(seed)
    labels = data.labels.numpy() if data.classes else np.full(len(data), -1)
    mean, std = _encode_all(encode, data.images, data.labels)
    mixtures = [_fit_mixture(mean, std, generator)]  # of all images
    groups = [np.flatnonzero(labels == index) for index in range(len(data.classes))]
    for rows in groups:
        mixtures.append(_fit_mixture(mean[rows], std[rows], generator) if len(rows) else mixtures[0])
    weights, means, scales = _stack(mixtures[1:] or mixtures)
    if any(len(rows) for rows in groups):
        bank = np.concatenate([np.sort(generator.permutation(rows)[:BANK_PER_CLASS]) for rows in groups])
    else:
        bank = np.sort(generator.permutation(len(data))[:BANK_UNLABELLED])
    without_label, _ = _encode_all(encode, data.images[bank], None)
    return Latents(weights, means, scales, without_label, bank_given_label=mean[bank], bank_labels=labels[bank])


@torch.inference_mode()
def _encode_all(
    encode: Encode, images: Tensor, labels: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations of the posteriors of uint8 images, each [N, D]."""
    means, logvars = [], []
    for rows in torch.arange(len(images)).split(1024):
        mean, logvar = encode(to_float(images[rows]), None if labels is None else labels[rows])
        means.append(mean)
        logvars.append(logvar)
    return torch.cat(means).numpy(), (0.5 * torch.cat(logvars)).exp().numpy()


def _fit_mixture(mean: NDArray[np.float32], std: NDArray[np.float32], generator: np.random.Generator) -> Mixture:
    """A Gaussian mixture of the aggregate posterior of the images with these means and deviations, [N, D]."""
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
    # Small matrices lose more to switching threads than they gain by more of them.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 iterations are enough for a mixture to draw from
        model.fit(points)
    return model.weights_, model.means_, np.linalg.cholesky(model.covariances_)


def _stack(mixtures: list[Mixture]) -> list[NDArray[np.float32]]:
    """Weights, means and factors [G, K, ...]; mixtures with fewer than K components get some of weight zero."""
    most = max(len(weights) for weights, _, _ in mixtures)
    stacked = []
    for arrays in zip(*mixtures, strict=True):
        padded = [np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]))]) for array in arrays]
        stacked.append(np.stack(padded).astype(np.float32))
    return stacked
