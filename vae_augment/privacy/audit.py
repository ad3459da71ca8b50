"""`audit`: what a model file gives away about the images that it was trained on.

An audit finds leaks; it never proves that there are none. Distances alone certify nothing: there
are sets that keep every distance and leak (Yao et al., "The DCR delusion", 2025).
"""

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from ..arguments import whole_number
from ..errors import InputError
from ..model.evidence import AUDIT, PRIVACY, add_evidence
from ..model.vae_model import VAEModel, load
from ..training.data.image_data import ImageData, to_float
from ..training.data.loading import load_data
from ..training.data.reducing import images_at_once, reduced
from .copying import Copying, Neighbourhood, Spread, exposed_components
from .intervals import of_share
from .membership import (
    BATCH,
    DISTANCE,
    Scores,
    calibrated,
    distance_scores,
    image_scores,
    measure,
)
from .neighbours import Features, nearest
from .report import Audit, ClassRow, Closest

MOST = 10_000  # images of either side that the attacks are tried on, and samples of the model
MOST_COMPARED = 3_000  # samples and unseen images whose nearest training images are looked for
FEWEST_OF_CLASS = 20  # images on either side, for a row of the class
PAIRS = 12
COMPONENTS = 32  # more of them would let the blur of samples pass for nearness

PIXELS = "principal components of the pixels"
LATENTS = "the file's own latents"
Data = ImageData | str | os.PathLike[str]


class Attacked(NamedTuple):
    """Training images and unseen ones, as an attacker meets them, and which are which [N]."""

    images: ImageData
    is_member: NDArray[np.bool_]


class Samples(NamedTuple):
    """Generated images [S, C, H, W] in [0, 1] and their labels [S], -1 = unknown."""

    images: Tensor
    labels: Tensor


def audit(
    model: VAEModel | str | os.PathLike[str], train: Data, test: Data, *, most: int = MOST
) -> Audit:
    """Look for what `model` gives away about its training images.

    Membership attacks tell training images from unseen ones, of each side at most `most`; as many
    samples are drawn, and compared with all training images. A model that redraws images is
    attacked by its reconstruction error alone: it has no likelihood, and draws no samples out of
    nothing.

    Args:
        model: a model, a bundled name, or the path of an .onnx file.
        train: the images that it was trained on, as `load_data` gives them, or their path.
        test: images of the same kind that it was not trained on.
        most: how many images and samples; fewer take less time and leave wider intervals.

    Raises:
        InputError: images of another shape or of other classes than the model's, fewer than two
            training images, or no unseen image that is not a training image too; or `most` is
            below 1.
    """
    most = whole_number("most", most, 1)
    if not isinstance(model, VAEModel):
        model = load(model)
    seen = train if isinstance(train, ImageData) else load_data(train)
    unseen = test if isinstance(test, ImageData) else load_data(test, train=False)
    for data in (seen, unseen):
        _check_fits(model, data)
    if len(seen) < 2:
        raise InputError(f"{seen.name} has one image; an audit needs two training images or more.")
    _warn_of_other_images(model, seen)
    generator = np.random.default_rng(0)
    unseen = _some(_without_training_images(seen, unseen), most, generator)
    attacked = _joined(_some(seen, most, generator), unseen)
    scores = image_scores(model, attacked.images)
    if not model.spec.kind.samples:
        return _report(model, attacked, scores, generator)
    samples = _samples(model, unseen, most)
    space = PixelSpace(attacked.images)
    scores[DISTANCE] = _distance_scores(space, attacked.images, samples)
    return _report(model, attacked, scores, generator, _copies(model, space, seen, unseen, samples))


def store(result: Audit, model: VAEModel) -> dict[str, Any]:
    """Write an audit of `model` into its file, and return what was written."""
    entry = result.to_evidence() | {"private": PRIVACY in model.spec.evidence}
    add_evidence(model.path, model.file.content, model.spec, {AUDIT: entry})
    return entry


def _check_fits(model: VAEModel, data: ImageData) -> None:
    spec = model.spec
    if data.image_shape != spec.image_shape:
        raise InputError(
            f"{data.name} has images of shape {data.image_shape}; {model.name!r} takes "
            f"{spec.image_shape}. Give images like those of its training."
        )
    if spec.classes and data.classes and data.classes != spec.classes:
        raise InputError(
            f"{data.name} has the classes {', '.join(data.classes)[:200]}; {model.name!r} has "
            f"{', '.join(spec.classes)[:200]}. Give the same classes in this order, or no labels."
        )


def _warn_of_other_images(model: VAEModel, train: ImageData) -> None:
    trained_on = model.spec.training.get("data_sha256")
    if trained_on is not None and trained_on != train.digest:
        warnings.warn(
            f"{model.name!r} says that it was trained on other images than those of {train.name}: "
            f"their digest is {trained_on}, that of these is {train.digest}.",
            stacklevel=3,
        )


def _without_training_images(train: ImageData, test: ImageData) -> ImageData:
    known = {image.numpy().tobytes() for image in train.images}
    is_new = torch.tensor([image.numpy().tobytes() not in known for image in test.images])
    if is_new.all():
        return test
    if not is_new.any():
        raise InputError(
            f"All images of {test.name} are among the training images. Give --test (test=) images "
            "that the model was not trained on."
        )
    warnings.warn(
        f"{int((~is_new).sum())} of the {len(test)} images of {test.name} are among the training "
        "images; they were left out of the unseen ones.",
        stacklevel=3,
    )
    return test.subset(is_new.nonzero()[:, 0])


def _some(data: ImageData, most: int, generator: np.random.Generator) -> ImageData:
    rows = generator.permutation(len(data))[:most]
    return data.subset(torch.from_numpy(np.sort(rows)))


def _joined(seen: ImageData, unseen: ImageData) -> Attacked:
    images = torch.cat([seen.images, unseen.images])
    labels = torch.cat([seen.labels, unseen.labels])
    is_member = np.arange(len(images)) < len(seen)
    return Attacked(ImageData(seen.name, images, labels, seen.classes), is_member)


def _samples(model: VAEModel, like: ImageData, count: int) -> Samples:
    """Samples of the classes of `like`, in its proportions."""
    known = like.labels[like.labels >= 0]
    by_class = model.spec.generates_classes and len(known) > 0
    images, labels = model.sample(count, known.tolist() if by_class else "balanced")
    if labels is None:
        labels = torch.full((len(images),), -1)
    return Samples(images, labels)


class PixelSpace:
    """The first principal components of images: distances there mind shapes more than blur."""

    def __init__(self, images: ImageData) -> None:
        rows = _rows(reduced(images.images))
        count = min(COMPONENTS, *rows.shape)
        with threadpool_limits(1):  # several threads add up numbers in an order that changes
            self._components = PCA(count, svd_solver="covariance_eigh").fit(rows)

    def features(self, images: Tensor) -> Features:
        """Images [N, C, H, W], uint8 or in [0, 1] -> [N, F]."""
        batches = images.split(BATCH)
        found = [self._components.transform(_rows(reduced(batch))) for batch in batches]
        return np.concatenate(found).astype(np.float32)


def _rows(images: Tensor) -> Features:
    return images.flatten(1).numpy()


def _distance_scores(space: PixelSpace, images: ImageData, samples: Samples) -> Scores:
    """The Monte-Carlo attack, each image against the samples of its class, [N]."""
    features = space.features(images.images)
    sample_features = space.features(samples.images)
    labels = images.labels.numpy()
    scores = np.zeros(len(labels))
    for label in np.unique(labels):
        same = samples.labels.numpy() == label
        rows = labels == label
        near = sample_features[same] if same.any() else sample_features
        scores[rows] = distance_scores(features[rows], near)
    return scores


class Copies(NamedTuple):
    """Samples and unseen images, few enough to search all training images for their neighbours."""

    unseen: ImageData
    samples: Samples
    spaces: dict[str, Neighbourhood]
    closest: Closest
    exposed: int


def _copies(
    model: VAEModel, space: PixelSpace, train: ImageData, unseen: ImageData, samples: Samples
) -> Copies:
    generator = np.random.default_rng(1)
    few_unseen = _some(unseen, MOST_COMPARED, generator)
    few_samples = Samples(*(each[:MOST_COMPARED] for each in samples))
    sides = (
        (train.images, train.labels),
        (few_unseen.images, few_unseen.labels),
        few_samples,
    )
    by_pixels = Spread(*(space.features(images) for images, _ in sides))
    by_latents = Spread(*(_latents(model, images, labels) for images, labels in sides))
    spreads = {PIXELS: by_pixels, LATENTS: by_latents}
    bar = tqdm(spreads.items(), "searching", unit="space", disable=None)
    spaces = {name: Neighbourhood(spread, generator) for name, spread in bar}
    closest = _closest(train, few_unseen, few_samples, spaces[PIXELS], by_pixels)
    exposed = exposed_components(model.spec.latents, by_latents.train)
    return Copies(few_unseen, few_samples, spaces, closest, exposed)


def _latents(model: VAEModel, images: Tensor, labels: Tensor) -> Features:
    at_once = min(BATCH, images_at_once(images))
    known = labels if model.spec.conditional else None
    batches = [] if known is None else list(known.split(at_once))
    means = [
        model.encode(batch, batches[number] if batches else None)[0]
        for number, batch in enumerate(images.split(at_once))
    ]
    return torch.cat(means).numpy()


def _closest(
    train: ImageData, unseen: ImageData, samples: Samples, space: Neighbourhood, spread: Spread
) -> Closest:
    """The pairs that are closest in the space; their distances are those of the pixels."""
    order = space.samples.distances.argsort()[:PAIRS]
    test_rows = nearest(spread.test, spread.samples[order]).rows
    images = samples.images[torch.from_numpy(order)]
    partners = to_float(train.images[torch.from_numpy(space.samples.rows[order])])
    others = to_float(unseen.images[torch.from_numpy(test_rows)])
    to_train, to_test = (
        (images - each).flatten(1).norm(dim=1).double().numpy() for each in (partners, others)
    )
    return Closest(images, partners, others, to_train, to_test)


def _report(
    model: VAEModel,
    attacked: Attacked,
    scores: dict[str, Scores],
    generator: np.random.Generator,
    copies: Copies | None = None,
) -> Audit:
    labels = attacked.images.labels.numpy()
    even = {name: calibrated(each, labels) for name, each in scores.items()}
    is_member = attacked.is_member
    bar = tqdm(even.items(), "measuring", unit="attack", disable=None)
    attacks = {
        name: measure(each[is_member], each[~is_member], generator, attacks=len(even))
        for name, each in bar
    }
    strongest = max(attacks, key=lambda name: attacks[name].auc.value)
    rows = []
    for label, name in enumerate(attacked.images.classes):
        chosen = labels == label
        seen = even[strongest][chosen & is_member]
        unseen = even[strongest][chosen & ~is_member]
        rows.append(_class_row(name, label, seen, unseen, generator, copies))
    latents = model.spec.latents
    return Audit(
        model=model.name,
        digest=model.weights_sha256,
        train=int(is_member.sum()),
        test=int((~is_member).sum()),
        attacks=attacks,
        copying_by_space={} if copies is None else _measures(copies.spaces),
        classes=tuple(rows),
        closest=None if copies is None else copies.closest,
        bank=0 if latents is None else len(latents.bank),
        exposed=0 if copies is None else copies.exposed,
    )


def _measures(spaces: dict[str, Neighbourhood]) -> dict[str, Copying]:
    return {name: space.measures() for name, space in spaces.items()}


def _class_row(
    name: str,
    label: int,
    seen: Scores,
    unseen: Scores,
    generator: np.random.Generator,
    copies: Copies | None,
) -> ClassRow:
    auc = None
    tpr = None
    if min(len(seen), len(unseen)) >= FEWEST_OF_CLASS:
        attack = measure(seen, unseen, generator)
        auc = attack.auc
        tpr = attack.tpr_at_1_percent
    if copies is None:
        return ClassRow(name, auc, tpr, None, None)
    space = copies.spaces[PIXELS]
    samples = copies.samples.labels.numpy() == label
    test = copies.unseen.labels.numpy() == label
    authentic = of_share(space.authentic[samples]) if samples.any() else None
    return ClassRow(name, auc, tpr, space.z_value(samples, test), authentic)
