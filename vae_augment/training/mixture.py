"""Where the latents of the training images lie: what generation draws from instead of N(0, I)."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ..errors import InputError
from ..modelfile.reading import MAX_FILE_BYTES
from ..spec import Latents
from . import distributed
from .data import ImageData, to_float

MAX_COMPONENTS = 20
MAX_POINTS = 3_000  # per mixture; more do not change the fit and take longer
IMAGES_PER_COMPONENT = 10  # with 40, samples of 100 images per class showed their class less often
BANK_PER_CLASS = 64
BANK_UNLABELLED = 512

Encode = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
Mixture = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # weights, means, Cholesky factors


def fit_latents(encode: Encode, data: ImageData, seed: int = 0, *, weight_bytes: int = 0) -> Latents:
    """Fit one Gaussian mixture per class (a single one without labels) to samples of the posteriors of `data`.

    `encode` turns images [B, C, H, W] in [0, 1] and labels [B] or None into means and log-variances, each [B, D].

    A class of at most `MAX_COMPONENTS` images gets the posteriors of its images as components, as in an exemplar
    prior (Norouzi et al., "Exemplar VAE", 2020); a class without images gets the mixture of all images. Where there
    are many classes, each gets fewer components, so that a model file with weights of `weight_bytes` can hold all.
    """
    generator = np.random.default_rng(seed)
    labels = data.labels.numpy() if data.classes else np.full(len(data), -1)
    mean, std = _encode_all(encode, data.images, data.labels)
    most, bank_rows = room_per_class(len(data.classes), mean.shape[1], weight_bytes)
    mixtures = [_fit_mixture(mean, std, generator, most)]  # of all images
    groups = [np.flatnonzero(labels == index) for index in range(len(data.classes))]
    for rows in _progress(groups, "fitting latents", "class"):
        mixtures.append(_fit_mixture(mean[rows], std[rows], generator, most) if len(rows) else mixtures[0])
    weights, means, scales = _stack(mixtures[1:] or mixtures)
    if any(len(rows) for rows in groups):
        bank = np.concatenate([np.sort(generator.permutation(rows)[:bank_rows]) for rows in groups])
    else:
        bank = np.sort(generator.permutation(len(data))[:BANK_UNLABELLED])
    without_label, _ = _encode_all(encode, data.images[bank], None)
    return Latents(weights, means, scales, without_label, bank_given_label=mean[bank], bank_labels=labels[bank])


def room_per_class(classes: int, latent_dim: int, weight_bytes: int) -> tuple[int, int]:
    """How many components and how many encoded images per class a model file has room for.

    Raises:
        InputError: not even one component per class.
    """
    # Base64 makes four bytes of three; the graph, class names and training facts take less than a MiB.
    room = (MAX_FILE_BYTES - (1 << 20) - weight_bytes) * 3 // 4
    groups = max(1, classes)
    component, encoded = 4 * (latent_dim**2 + latent_dim + 1), 8 * (latent_dim + 1)
    components = (room - groups * encoded) // (groups * component)
    if components < 1:
        raise InputError(
            f"Weights of {weight_bytes:,} bytes and {latent_dim}-dimensional latents of {groups} classes do not fit "
            f"into a model file, which may have {MAX_FILE_BYTES:,} bytes. Use a smaller --latent-dim, fewer classes, "
            "smaller images or --network conv."
        )
    components = min(MAX_COMPONENTS, components)
    rows = (room - groups * components * component) // (groups * encoded)
    return components, min(BANK_PER_CLASS, rows)


def _progress(items: Sequence[Any], what: str, unit: str) -> Iterable[Any]:
    """`items` with a bar in the first rank, on a terminal, from two seconds on."""
    return tqdm(items, what, unit=unit, delay=2, disable=True if distributed.rank() else None)


@torch.inference_mode()
def _encode_all(
    encode: Encode, images: Tensor, labels: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations of the posteriors of uint8 images, each [N, D]."""
    means, logvars = [], []
    for rows in _progress(torch.arange(len(images)).split(1024), "encoding images", "batch"):
        mean, logvar = encode(to_float(images[rows]), None if labels is None else labels[rows])
        means.append(mean)
        logvars.append(logvar)
    return torch.cat(means).numpy(), (0.5 * torch.cat(logvars)).exp().numpy()


def _fit_mixture(
    mean: NDArray[np.float32], std: NDArray[np.float32], generator: np.random.Generator, most: int
) -> Mixture:
    """A Gaussian mixture of the aggregate posterior of the images with these means and deviations, [N, D].

    It has at most `most` components.
    """
    count, dim = mean.shape
    if count <= most:
        return np.full(count, 1 / count), mean.astype(np.float64), std[:, :, None].astype(np.float64) * np.eye(dim)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    varies = (mean != 0).any(0) | (std != 1).any(0)  # false for detail of `EnergyVAE`: N(0, I) whatever the image
    rows = generator.choice(count, MAX_POINTS, replace=count < MAX_POINTS)
    points = (mean[rows] + std[rows] * generator.standard_normal((MAX_POINTS, dim)))[:, varies]
    components = min(most, max(1, count // IMAGES_PER_COMPONENT))
    model = GaussianMixture(components, reg_covar=1e-4, random_state=int(generator.integers(2**31)), max_iter=50)
    # Small matrices lose more to switching threads than they gain by more of them.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 iterations are enough for a mixture to draw from
        model.fit(points)
    means, scales = np.zeros((components, dim)), np.tile(np.eye(dim), (components, 1, 1))
    means[:, varies], inner = model.means_, np.linalg.cholesky(model.covariances_)
    scales[:, np.outer(varies, varies)] = inner.reshape(components, -1)
    return model.weights_, means, scales


def _stack(mixtures: list[Mixture]) -> list[NDArray[np.float32]]:
    """Weights, means and factors [G, K, ...]; mixtures with fewer than K components get some of weight zero."""
    most = max(len(weights) for weights, _, _ in mixtures)
    stacked = []
    for arrays in zip(*mixtures, strict=True):
        padded = [np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]))]) for array in arrays]
        stacked.append(np.stack(padded).astype(np.float32))
    return stacked
