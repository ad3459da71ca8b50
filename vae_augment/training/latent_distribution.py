"""Where the latents of the training images lie: generation samples from it, not from N(0, I)."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from ..errors import InputError
from ..model.file.reading import MAX_FILE_BYTES
from ..model.latents import Latents, without_bank
from .data.image_data import ImageData, to_float
from .progress import is_hidden

# Components per class; more than few only of so many images that they fill their covariances.
FEW = 20
MANY = 150
# A class of at most so many images does not tell well how it varies: the covariance within all
# classes counts as so many images more. Its samples teach more where they spread less.
FEW_IMAGES = 20
IMAGES_OF_ALL_CLASSES = 5
SPREAD_OF_FEW = 0.8
MIXTURE_BYTES = 2_600_000  # of the file, which more than few components per class may take
# With 40 for few components, samples of 100 images per class showed their class less often.
IMAGES_PER_COMPONENT = {FEW: 10, MANY: 40}
# As so many images counts the common covariance of a class's clusters in each of them. As 32, they
# were too much alike, and samples taught less; as 2, samples copied training images.
IMAGES_OF_CLASS = 12
# Of clusters; at 1, samples show their class more often, but lack the rarer images and teach less.
SPREAD = 1.15
LEAST_VARIANCE = 1e-6
LEAST_IMAGES = 5  # of a cluster
BANK_PER_CLASS = 64
BANK_UNLABELLED = 512
KMEANS_ITERATIONS = 50
IMAGES_AT_ONCE = 1024

Encode = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


class Mixture(NamedTuple):
    """A mixture of K Gaussians: weights [K], means [K, D] and Cholesky factors [K, D, D]."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    scales: NDArray[np.float64]


def fit_latents(
    encode: Encode,
    data: ImageData,
    seed: int = 0,
    *,
    weight_bytes: int = 0,
    keep_bank: bool = False,
) -> Latents:
    """Fit one Gaussian mixture per class, or a single one without labels, to the posteriors.

    No component is made of fewer than five images. The covariances of a class of at most
    `FEW_IMAGES` images are shrunk towards that within all classes (Friedman, "Regularized
    discriminant analysis", 1989); a class of fewer than five images gets one component with that
    covariance, and a class without images the mixture of all images. Where there are many classes,
    each gets fewer components, so that a model file has room for all.

    Args:
        encode: from images [B, C, H, W] in [0, 1] and labels [B] or None to means and
            log-variances, each [B, D].
        data: the images whose posteriors count.
        seed: of the clusters, and of the images of the bank.
        weight_bytes: size of the weights that the model file has to hold too.
        keep_bank: also keep the latents of up to 64 training images per class, or 512 without
            labels. Whoever holds the file can decode them into images close to the originals.

    Raises:
        InputError: a file has no room for one component per class.
    """
    generator = np.random.default_rng(seed)
    labels = data.labels.numpy() if data.classes else np.full(len(data), -1)
    mean, std = _encode_all(encode, data.images, data.labels)
    most_components, bank_rows = room_per_class(len(data.classes), mean.shape[1], weight_bytes)
    within = _within_classes(mean, std, labels)
    mixture_of_all = _fit_mixture(mean, std, within, generator, most_components)
    mixtures = []
    groups = [np.flatnonzero(labels == index) for index in range(len(data.classes))]
    for rows in _progress(groups, "fitting latents", "class"):
        mixture = mixture_of_all
        if len(rows):
            mixture = _fit_mixture(mean[rows], std[rows], within, generator, most_components)
        mixtures.append(mixture)
    found = without_bank(*_stack(mixtures or [mixture_of_all]))
    if not keep_bank:
        return found
    if any(len(rows) for rows in groups):
        bank = np.concatenate([np.sort(generator.permutation(rows)[:bank_rows]) for rows in groups])
    else:
        bank = np.sort(generator.permutation(len(data))[:BANK_UNLABELLED])
    without_label, _ = _encode_all(encode, data.images[bank], None)
    return replace(found, bank=without_label, bank_given_label=mean[bank], bank_labels=labels[bank])


def room_per_class(classes: int, latent_dim: int, weight_bytes: int) -> tuple[int, int]:
    """How many components and how many encoded images per class a model file has room for.

    Raises:
        InputError: not even one component per class.
    """
    # Base64 makes four bytes of three; the graph, class names and training facts take less than a
    # MiB.
    room = (MAX_FILE_BYTES - (1 << 20) - weight_bytes) * 3 // 4
    groups = max(1, classes)
    triangle = latent_dim * (latent_dim + 1) // 2
    component = 4 * (triangle + latent_dim + 1)
    encoded = 8 * (latent_dim + 1)
    components = (room - groups * encoded) // (groups * component)
    if components < 1:
        raise InputError(
            f"Weights of {weight_bytes:,} bytes and {latent_dim}-dimensional latents of {groups} "
            f"classes do not fit into a model file, which may have {MAX_FILE_BYTES:,} bytes. Use "
            "a smaller --latent-dim, fewer classes, smaller images or --network conv."
        )
    affordable = MIXTURE_BYTES * 3 // 4 // (groups * component)
    components = min(components, MANY, max(FEW, affordable))
    rows = (room - groups * components * component) // (groups * encoded)
    return components, min(BANK_PER_CLASS, rows)


def _progress(items: Sequence[Any], what: str, unit: str) -> Iterable[Any]:
    """`items` with a bar from two seconds on."""
    return tqdm(items, what, unit=unit, delay=2, disable=is_hidden())


@torch.inference_mode()
def _encode_all(
    encode: Encode, images: Tensor, labels: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and standard deviations of the posteriors of uint8 images, each [N, D]."""
    means = []
    logvars = []
    batches = torch.arange(len(images)).split(IMAGES_AT_ONCE)
    for rows in _progress(batches, "encoding images", "batch"):
        mean, logvar = encode(to_float(images[rows]), None if labels is None else labels[rows])
        means.append(mean)
        logvars.append(logvar)
    std = (0.5 * torch.cat(logvars)).exp()
    return torch.cat(means).numpy(), std.numpy()


def _within_classes(
    mean: NDArray[np.float32], std: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The covariance of latents around the means of their classes, [D, D]; see `_common`."""
    groups, group = np.unique(labels, return_inverse=True)
    centers = np.stack([mean[group == index].mean(0) for index in range(len(groups))])
    return _common(mean - centers[group], std, len(groups))


def _common(
    apart: NDArray[np.floating[Any]], std: NDArray[np.float32], centers: int
) -> NDArray[np.float64]:
    """The covariance of samples of all posteriors around their centres, [D, D].

    Args:
        apart: the posteriors' means minus their centres, [N, D].
        std: their deviations, [N, D].
        centers: how many centres were taken from these means.
    """
    variance = std.astype(np.float64) ** 2
    degrees = max(1, len(apart) - centers)
    return apart.T @ apart / degrees + np.diag(variance.mean(0) + LEAST_VARIANCE)


def _fit_mixture(
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    within: NDArray[np.float64],
    generator: np.random.Generator,
    most_components: int,
) -> Mixture:
    """A mixture for the aggregate posterior of images with these means and deviations, [N, D].

    The components are clusters of k-means with their covariances, shrunk towards their common one
    as by `IMAGES_OF_CLASS` images (Friedman, "Regularized discriminant analysis", 1989): few images
    do not fill a covariance. Those of a class of few images are shrunk towards `within`, [D, D],
    that of all classes. Fitted by expectation-maximisation instead, samples taught a classifier
    less, and the fit took a hundred times as long.
    """
    count = len(mean)
    few, many = (min(number, count // images) for number, images in IMAGES_PER_COMPONENT.items())
    components = min(most_components, max(1, few, many))
    cluster, centers = _clusters(mean.astype(np.float64), components, generator)
    apart = mean - centers[cluster]
    if count < LEAST_IMAGES:
        scales = (SPREAD_OF_FEW * np.linalg.cholesky(within)[None]).astype(np.float64)
    elif count <= FEW_IMAGES:
        scales = SPREAD_OF_FEW * _scales(apart, std, cluster, within, IMAGES_OF_ALL_CLASSES)
    else:
        apart *= SPREAD
        scales = _scales(apart, std, cluster, _common(apart, std, len(centers)), IMAGES_OF_CLASS)
    return Mixture(np.bincount(cluster) / count, centers, scales)


def _scales(
    apart: NDArray[np.float64],
    std: NDArray[np.float32],
    cluster: NDArray[np.int32],
    common: NDArray[np.float64],
    images: int,
) -> NDArray[np.float64]:
    """The Cholesky factors [K, D, D] of the clusters' covariances.

    Each is shrunk towards `common`, [D, D], which counts for so many images.
    """
    variance = std.astype(np.float64) ** 2
    scales = []
    for index, size in enumerate(np.bincount(cluster)):
        rows = apart[cluster == index]
        own = rows.T @ rows + np.diag(variance[cluster == index].sum(0))
        scales.append(np.linalg.cholesky((own + images * common) / (size + images)))
    return np.stack(scales)


def _clusters(
    points: NDArray[np.float64], count: int, generator: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The cluster of each point [N] and the centres [count, D]."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    seed = int(generator.integers(2**31))
    found = KMeans(count, n_init=1, random_state=seed, max_iter=KMEANS_ITERATIONS)
    # One thread, because several add up numbers in an order that changes.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Of fewer images that differ than clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        cluster = found.fit_predict(points)
    return _without_small_clusters(points, cluster, found.cluster_centers_)


def _without_small_clusters(
    points: NDArray[np.float64], cluster: NDArray[np.int32], centers: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The clusters and centres after the points of small ones have gone to the others.

    The mean of a cluster of one image would be the latent of that image.
    """
    from sklearn.metrics import pairwise_distances_argmin

    sizes = np.bincount(cluster, minlength=len(centers))
    while sizes.min() < LEAST_IMAGES and len(sizes) > 1:
        kept = np.delete(centers, sizes.argmin(), 0)
        cluster = pairwise_distances_argmin(points, kept).astype(np.int32)
        sizes = np.bincount(cluster, minlength=len(kept))
        centers = kept
        for index in np.flatnonzero(sizes):
            centers[index] = points[cluster == index].mean(0)
    return cluster, centers


def _stack(mixtures: list[Mixture]) -> list[NDArray[np.float32]]:
    """Weights, means and scales [G, K, ...]; mixtures of fewer components get some of weight 0."""
    most = max(len(mixture.weights) for mixture in mixtures)
    stacked = []
    for arrays in zip(*mixtures, strict=True):
        padded = [
            np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]))])
            for array in arrays
        ]
        stacked.append(np.stack(padded).astype(np.float32))
    return stacked
