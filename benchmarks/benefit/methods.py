"""The study's methods that no user needs: repeated rare images, ceilings, and classifiers of generated images alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from vae_augment import VAEModel
from vae_augment.evaluation.classifier import Batch, Distort, same
from vae_augment.evaluation.distortions import affine, affine_elastic, flip_shift
from vae_augment.evaluation.experiment import WITH_VAE, Method, TrainingSet
from vae_augment.evaluation.methods import (
    FEW_BETA,
    MakeVAE,
    distorted,
    perturbed,
    plain,
    vae_config,
)
from vae_augment.training import FitConfig, ImageData

from .draws import CEILING, FULL, StudyDraw, StudySet

Images = Callable[[StudyDraw], Batch]
Prepare = Callable[[StudyDraw], TrainingSet]
GARMENTS = "fashion-mnist"  # mirrored by flip+shift; its classes differ in detail, which a lighter KL term keeps
ANOTHER_SEED = 1_000_003
SAMPLES = 60_000
_FULL: dict[tuple[str, int, FitConfig, float], VAEModel] = {}


def duplicate(draw: StudyDraw) -> StudySet:
    """The labelled images, trained on with another seed."""
    return StudySet(*draw.real, seed_offset=ANOTHER_SEED)


def on_images(draw: StudyDraw, prepare: Prepare, images: Images) -> TrainingSet:
    """What `prepare` makes of a draw, with other images."""
    found, labels = images(draw)
    return replace(prepare(draw), images=found, labels=labels)


def real(draw: StudyDraw) -> Batch:
    """The labelled images as they are."""
    return draw.real


def oversampled(draw: StudyDraw) -> Batch:
    """The labelled images, those of rare classes repeated until all classes have equally many."""
    images, labels = draw.real
    groups = [(labels == label).nonzero()[:, 0] for label in range(len(draw.labelled.classes))]
    most = max(len(rows) for rows in groups)
    rows = torch.cat([rows.repeat(math.ceil(most / len(rows)))[:most] for rows in groups])
    return images[rows], labels[rows]


def with_extra(draw: StudyDraw) -> Batch:
    """The labelled images and the extra ones."""
    if draw.extra is None:
        return draw.real
    images, labels = draw.on_device(draw.extra)
    return torch.cat([draw.real[0], images]), torch.cat([draw.real[1], labels])


def labelled_vae(draw: StudyDraw) -> VAEModel:
    """A class-conditional VAE of the labelled images alone."""
    return draw.fit(draw.labelled, vae_config(draw, draw.labelled, FEW_BETA))


def full_vae(draw: StudyDraw) -> VAEModel:
    """A class-conditional VAE of many labelled images, for sampling.

    Draws of all labels give it the same images, so they share one VAE, of seed 0.
    """
    usual = sampling_config(draw, draw.labelled)
    config = replace(usual, epochs=2 * usual.epochs, seed=0)
    key = (draw.labelled.name, len(draw.labelled), config, draw.effort)
    if key not in _FULL:
        _FULL[key] = draw.fit(draw.labelled, config)
    return _FULL[key]


def sampling_config(draw: StudyDraw, data: ImageData) -> FitConfig:
    """A wide VAE with a smaller weight of the KL term, smallest for garments, whose classes differ in detail.

    Few labels are dropped: when half of them are, as usual, samples of a class look like other classes.
    """
    beta, latent_dim = (0.1, 64) if data.name == GARMENTS else (0.5, 32)
    return replace(vae_config(draw, data), width="base", beta=beta, latent_dim=latent_dim, label_dropout=0.1)


def samples_only(draw: StudyDraw, vae: MakeVAE, distort: Distort = same) -> TrainingSet:
    """60,000 generated images of balanced classes, and no real ones."""
    length = max(len(draw.labelled.classes), round(SAMPLES * min(1.0, draw.effort)))
    images, labels = generated(draw, vae, length)
    return TrainingSet(images, labels, distort)


def generated(draw: StudyDraw, vae: MakeVAE, length: int) -> Batch:
    """`length` generated images [N, C, H, W], all classes in turn, and their labels [N], on the device."""
    images, classes = draw.once(vae).sample(length, seed=draw.seed)
    assert classes is not None  # the VAEs of the methods know their classes
    return images.to(draw.device), classes.to(draw.device)


def classical(data: str, images: Images = real) -> tuple[Method, ...]:
    """The methods that a VAE has to beat, trained on the images that `images` makes of a draw.

    "none" always takes the images as they are. "duplicate" trains again with another seed: the number of updates is
    fixed, so showing each image twice as often only changes the order of the same images, and any gain is luck.
    """
    methods = (
        Method("none", plain),
        Method("duplicate", partial(on_images, prepare=duplicate, images=images)),
        Method("affine", partial(on_images, prepare=partial(distorted, distort=affine), images=images)),
        Method("affine+elastic", partial(on_images, prepare=partial(distorted, distort=affine_elastic), images=images)),
    )
    flipped = partial(on_images, prepare=partial(distorted, distort=flip_shift), images=images)
    return (*methods, Method("flip+shift", flipped)) if data == GARMENTS else methods


def ceilings() -> tuple[Method, ...]:
    """What real images would have given in the place of generated ones."""
    distort = partial(distorted, distort=affine_elastic)
    return (
        Method("extra real images", partial(on_images, prepare=plain, images=with_extra), CEILING),
        Method("affine+elastic+extra real images", partial(on_images, prepare=distort, images=with_extra), CEILING),
    )


def strong(data: str, trained_on: str, images: Images = real) -> tuple[Method, ...]:
    """For few images: perturb half of them, three times as far as the posterior spreads, and keep their detail."""

    def method(name: str, distort: Distort) -> Method:
        perturb = partial(perturbed, vae=labelled_vae, distort=distort, p=0.5, strength=3.0, residual=True)
        return Method(name, partial(on_images, prepare=perturb, images=images), WITH_VAE, trained_on)

    methods = (method("strong VAE", same), method("affine+elastic+strong VAE", affine_elastic))
    return (*methods, method("flip+shift+strong VAE", flip_shift)) if data == GARMENTS else methods


def gentle() -> tuple[Method, ...]:
    """For many images: perturb a fifth of them, by half of the posterior's spread, and keep their detail."""
    perturb = partial(perturbed, vae=full_vae, p=0.2, strength=0.5, residual=True)
    return (
        Method("gentle VAE", perturb, WITH_VAE, FULL),
        Method("affine+elastic+gentle VAE", partial(perturb, distort=affine_elastic), WITH_VAE, FULL),
    )


def samples() -> tuple[Method, ...]:
    """Generated images alone, plain and distorted."""
    only = partial(samples_only, vae=full_vae)
    return (
        Method("samples", only, WITH_VAE, FULL),
        Method("affine+elastic+samples", partial(only, distort=affine_elastic), WITH_VAE, FULL),
    )
