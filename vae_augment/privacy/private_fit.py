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
from .common_axes import release_with_common_axes
from .moments import Gaussians, covariances, release, release_means
from .plan import Plan, plan
from .public_space import PublicSpace, public_space

LARGEST_DELTA = 1e-5
MOST_AXES = 150
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
    space = public_space(base, MOST_AXES)
    coordinates = space.coordinates(_encoded(base, data))
    classes = max(1, len(data.classes))
    planned = plan(len(data), classes, space.size, multiplier)
    labels = np.maximum(data.labels.numpy(), 0)
    gaussians = _released(coordinates, labels, classes, planned, multiplier)
    # From here on nothing sees the private images.
    spec = Spec(
        image_shape=base.spec.image_shape,
        latent_dim=base.spec.latent_dim,
        classes=data.classes,
        training={"data": data.name, "base": base.name, "base_sha256": base.sha256},
        exporter=f"vae-augment {__version__}",
        evidence={PRIVACY: _evidence(budget, planned, space, base)},
        latents=_latents(space, gaussians, planned.clusters),
    )
    checkpoint = BaseCheckpoint(spec, base.file)
    save_base_checkpoint(checkpoint, path, overwrite=overwrite)
    return checkpoint


def _delta(asked: float | None, count: int) -> float:
    if asked is not None:
        return number("delta", asked)
    # A power of ten, so that it tells no more of the number of images than its order of magnitude.
    return min(LARGEST_DELTA, 10.0 ** math.floor(-2 * math.log10(count)))


def _released(
    coordinates: Numbers,
    labels: NDArray[np.int64],
    classes: int,
    planned: Plan,
    multiplier: float,
) -> Gaussians:
    """The Gaussians of all clusters of all classes, [classes x clusters, ...]."""
    clipping = planned.clipping
    noise = {
        name: share_of(multiplier, share) for name, share in planned.shares.items() if share > 0
    }
    centre = np.zeros(coordinates.shape[1])
    if "centre" in noise:
        centre = _centre(coordinates, clipping.vector, noise["centre"])
    vectors = coordinates - centre
    groups = labels
    if planned.clusters > 1:
        cluster = private_clusters(
            vectors, labels, classes, planned.clusters, clipping.vector, noise["clusters"]
        )
        groups = labels * planned.clusters + cluster
    count = classes * planned.clusters
    if planned.own:
        moments = release(
            vectors, groups, count, clipping, of_means=noise["means"], of_second=noise["second"]
        )
        return Gaussians(moments.counts, moments.means, covariances(moments))
    found = release_with_common_axes(
        vectors,
        groups,
        count,
        clipping,
        of_means=noise["means"],
        of_common=noise["common"],
        of_variances=noise["variances"],
    )
    return found._replace(means=found.means + centre)


def _centre(vectors: Numbers, norm: float, multiplier: float) -> Numbers:
    """The noisy mean [D] of all vectors: clipped around it, they lose less."""
    in_one_group = np.zeros(len(vectors), np.int64)
    _, means = release_means(vectors, in_one_group, 1, norm, multiplier)
    return means[0]


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


def _latents(space: PublicSpace, gaussians: Gaussians, clusters: int) -> Latents:
    """A mixture of `clusters` Gaussians per class."""
    means = []
    scales = []
    for mean, covariance in zip(gaussians.means, gaussians.covariances, strict=True):
        latent_mean, latent_covariance = space.latents(mean, covariance)
        ridge = LEAST_VARIANCE * np.eye(len(latent_mean))
        means.append(latent_mean)
        scales.append(np.linalg.cholesky(latent_covariance + ridge))
    dim = len(means[0])
    counts = gaussians.counts.reshape(-1, clusters)
    weights = counts / counts.sum(1, keepdims=True)
    return without_bank(
        weights.astype(np.float32),
        np.stack(means).reshape(-1, clusters, dim).astype(np.float32),
        np.stack(scales).reshape(-1, clusters, dim, dim).astype(np.float32),
    )


def _evidence(budget: Budget, planned: Plan, space: PublicSpace, base: VAEModel) -> dict[str, Any]:
    what = "second moments" if planned.own else "variances along common axes"
    return {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "adjacency": ADJACENCY,
        "mechanism": f"Gaussian noise on the counts, means and {what} of each class's latents",
        "clipping": {name: norm for name, norm in planned.clipping._asdict().items() if norm},
        "axes": space.size,
        "clusters": planned.clusters,
        "shares": planned.shares,
        "accountant": f"{accountant()}, analytic Gaussian mechanism",
        "public": f"the base {base.name}, the names of the classes, the shape of the images and "
        "the order of magnitude of their number",
    }
