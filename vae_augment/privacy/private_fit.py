"""`fit_private`: a model of private images, with differential privacy for each of them.

Its encoder and decoder are those of a base that saw public images only. What the private images add
are noised statistics of their latents: a few Gaussians per class, or one where noise would drown
more. So the noise of one release is all that stands between an image and the file, and it is exact.
"""

import math
import os
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from .._version import __version__
from ..arguments import number
from ..errors import InputError
from ..files import refuse_existing
from ..model.evidence import PRIVACY
from ..model.latents import Latents, without_bank
from ..model.spec import MAX_NAME, Spec, refused_names
from ..model.vae_model import VAEModel, load
from ..training.base_checkpoint import BaseCheckpoint, save_base_checkpoint
from ..training.data.image_data import ImageData
from ..training.latent_distribution import LEAST_VARIANCE, room_per_class
from .accounting import Numbers, accountant, noise_multiplier, share_of
from .clusters import private_clusters
from .moments import SHARE_OF_MEANS, Clipping, Moments, covariances, noise_radius, release
from .public_space import PublicSpace, public_space

LARGEST_DELTA = 1e-5
# Norms at which coordinates are clipped, over the root of their number; on average over the public
# images the norm is that root. All these were chosen in trials on MNIST and Fashion-MNIST.
VECTOR_NORM = 1.4
DIFFERENCE_NORM = 0.9  # from the mean of the class
DIFFERENCE_NORM_IN_CLUSTER = 0.7
MOST_AXES = 150
MOST_AXES_OF_LITTLE = 50  # below the epsilon that follows, where noise would drown more of them
LITTLE_EPSILON = 0.5
MOST_CLUSTERS = 16  # per class
IMAGES_PER_CLUSTER = 50  # at least
SHARE_OF_CLUSTERS = 0.1  # of the budget, for finding them
# On a covariance: the spectral radius of its noise, where the variance of public images is 1.
MOST_NOISE = 3.0
IMAGES_AT_ONCE = 1024
ADJACENCY = "one labelled image added or removed"


class Budget(NamedTuple):
    """Differential privacy: one image changes no probability by more than e^epsilon and delta."""

    epsilon: float
    delta: float


def fit_private(
    data: ImageData,
    output: str | os.PathLike[str],
    *,
    epsilon: float,
    public: VAEModel | str | os.PathLike[str],
    delta: float | None = None,
    overwrite: bool = False,
) -> BaseCheckpoint:
    """Fit the latents of private images and write a checkpoint, which `export` turns into a file.

    (epsilon, delta)-differential privacy for each image with its label, where one is added or
    removed. The shape of the images, the names of the classes and the order of magnitude of their
    number count as public. Nothing else of the images is in the checkpoint.

    Args:
        data: the private images; every one has a label, or none has classes.
        output: the checkpoint to write (.safetensors).
        epsilon: above 0; smaller is more private.
        public: the base: a bundled name ("strokes", "objects"), an .onnx file or a model, of public
            images only.
        delta: None = 1e-5, or the power of ten that is at most 1 / n^2 for n images, if that is
            less.
        overwrite: replace what is at `output`.

    Raises:
        OutputExistsError: there is a file at `output`.
        InputError: the base has another image shape, takes labels, redraws images or was trained on
            these very images; some images have no label; or epsilon or delta is out of range.
        VAEAugmentError: dp-accounting or OpenDP is not installed.
    """
    path = refuse_existing(output, overwrite)
    base = public if isinstance(public, VAEModel) else load(public, provider="cpu")
    budget = Budget(number("epsilon", epsilon), _delta(delta, len(data)))
    multiplier = noise_multiplier(*budget)
    _check_base(base, data)
    _check_labels(data)
    room_per_class(len(data.classes), base.spec.latent_dim, len(base.file.content))
    space = public_space(base, _most_axes(budget))
    coordinates = space.coordinates(_encoded(base, data))
    classes = max(1, len(data.classes))
    clusters = _cluster_count(len(data), classes, space.size, multiplier)
    clipping = _clipping(space.size, clusters)
    labels = np.maximum(data.labels.numpy(), 0)
    moments = _released(coordinates, labels, classes, clusters, clipping, multiplier)
    # From here on nothing sees the private images.
    spec = Spec(
        image_shape=base.spec.image_shape,
        latent_dim=base.spec.latent_dim,
        classes=data.classes,
        training={"data": data.name, "base": base.name, "base_sha256": base.sha256},
        exporter=f"vae-augment {__version__}",
        evidence={PRIVACY: _evidence(budget, clipping, clusters, space, base)},
        latents=_latents(space, moments, clusters),
    )
    checkpoint = BaseCheckpoint(spec, base.file)
    save_base_checkpoint(checkpoint, path, overwrite=overwrite)
    return checkpoint


def _delta(asked: float | None, count: int) -> float:
    if asked is not None:
        return number("delta", asked)
    # A power of ten, so that it tells no more of the number of images than its order of magnitude.
    return min(LARGEST_DELTA, 10.0 ** math.floor(-2 * math.log10(count)))


def _most_axes(budget: Budget) -> int:
    return MOST_AXES_OF_LITTLE if budget.epsilon < LITTLE_EPSILON else MOST_AXES


def _cluster_count(images: int, classes: int, axes: int, multiplier: float) -> int:
    """As many clusters per class as noise and the number of images allow.

    Of the number of images no more is used than its order of magnitude, which is public.
    """
    images_per_class = 10.0 ** math.floor(math.log10(images)) / classes
    of_second = share_of(multiplier, (1 - SHARE_OF_CLUSTERS) * (1 - SHARE_OF_MEANS))
    noise = _clipping(axes, MOST_CLUSTERS).difference ** 2 * of_second / images_per_class
    most = min(MOST_NOISE / noise_radius(axes, noise), images_per_class / IMAGES_PER_CLUSTER)
    count = MOST_CLUSTERS
    while count > max(1, most):
        count //= 2
    return count


def _clipping(axes: int, clusters: int) -> Clipping:
    root = math.sqrt(axes)
    of_difference = DIFFERENCE_NORM if clusters == 1 else DIFFERENCE_NORM_IN_CLUSTER
    return Clipping(VECTOR_NORM * root, of_difference * root)


def _released(
    coordinates: Numbers,
    labels: NDArray[np.int64],
    classes: int,
    clusters: int,
    clipping: Clipping,
    multiplier: float,
) -> Moments:
    """The moments of all clusters of all classes, [classes x clusters, ...]."""
    if clusters == 1:
        return release(coordinates, labels, classes, clipping, multiplier)
    of_clusters = share_of(multiplier, SHARE_OF_CLUSTERS)
    of_moments = share_of(multiplier, 1 - SHARE_OF_CLUSTERS)
    cluster = private_clusters(coordinates, labels, classes, clusters, clipping.vector, of_clusters)
    groups = labels * clusters + cluster
    return release(coordinates, groups, classes * clusters, clipping, of_moments)


def _check_base(base: VAEModel, data: ImageData) -> None:
    spec = base.spec
    if spec.conditional or not spec.kind.samples:
        raise InputError(
            f"The base {base.name!r} takes labels or redraws images. Give one that was trained "
            "with --unconditional and without --redraw, such as strokes or objects."
        )
    if spec.image_shape != data.image_shape:
        raise InputError(
            f"{data.name} has images of shape {data.image_shape}; the base {base.name!r} takes "
            f"{spec.image_shape}. Resize the images, or fit a base to public images of their shape."
        )
    if spec.training.get("data_sha256") == data.digest:
        raise InputError(
            f"The base {base.name!r} was trained on these very images, so it is not public. Give "
            "one that never saw them."
        )


def _check_labels(data: ImageData) -> None:
    names = refused_names(data.classes)
    if names:
        raise InputError(
            f"{data.name} has the class {str(names[0])[:250]!r}, which a model file cannot hold. "
            f"Class names differ, and have at most {MAX_NAME} printable characters. Rename it."
        )
    if data.classes and bool((data.labels < 0).any()):
        raise InputError(
            f"{data.name} has images without a label, which belong to no class's statistics. Leave "
            "them out, or all labels: --read labels=no."
        )


@torch.inference_mode()
def _encoded(base: VAEModel, data: ImageData) -> Numbers:
    batches = tqdm(data.images.split(IMAGES_AT_ONCE), "encoding", unit="batch", disable=None)
    means = [base.encode(batch)[0] for batch in batches]
    return torch.cat(means).double().numpy()


def _latents(space: PublicSpace, moments: Moments, clusters: int) -> Latents:
    """A mixture of `clusters` Gaussians per class."""
    means = []
    scales = []
    for mean, covariance in zip(moments.means, covariances(moments), strict=True):
        latent_mean, latent_covariance = space.latents(mean, covariance)
        ridge = LEAST_VARIANCE * np.eye(len(latent_mean))
        means.append(latent_mean)
        scales.append(np.linalg.cholesky(latent_covariance + ridge))
    dim = len(means[0])
    counts = moments.counts.reshape(-1, clusters)
    weights = counts / counts.sum(1, keepdims=True)
    return without_bank(
        weights.astype(np.float32),
        np.stack(means).reshape(-1, clusters, dim).astype(np.float32),
        np.stack(scales).reshape(-1, clusters, dim, dim).astype(np.float32),
    )


def _evidence(
    budget: Budget, clipping: Clipping, clusters: int, space: PublicSpace, base: VAEModel
) -> dict[str, Any]:
    return {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "adjacency": ADJACENCY,
        "mechanism": "Gaussian noise on the counts, means and second moments of each class's "
        "latents",
        "clipping": {"vector": clipping.vector, "difference": clipping.difference},
        "axes": space.size,
        "clusters": clusters,
        "shares": _shares(clusters),
        "accountant": f"{accountant()}, analytic Gaussian mechanism",
        "public": f"the base {base.name}, the names of the classes, the shape of the images and "
        "the order of magnitude of their number",
    }


def _shares(clusters: int) -> dict[str, float]:
    """What each release takes of the budget."""
    of_clusters = SHARE_OF_CLUSTERS if clusters > 1 else 0.0
    left = 1 - of_clusters
    return {
        "clusters": of_clusters,
        "means": left * SHARE_OF_MEANS,
        "second": left * (1 - SHARE_OF_MEANS),
    }
