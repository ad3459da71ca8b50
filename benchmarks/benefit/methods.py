"""The study's methods that no user needs: repeated rare images, ceilings, and classifiers of generated images alone."""

import math
from dataclasses import replace
from functools import partial

import torch

from vae_augment import VAEModel
from vae_augment.evaluation.classifier import Batch
from vae_augment.evaluation.distortions import affine, affine_elastic, flip_shift
from vae_augment.evaluation.experiment import CEILING, FULL, WITH_VAE, Draw, Method, TrainingSet, join
from vae_augment.evaluation.methods import (
    Distort,
    Images,
    MakeVAE,
    distorted,
    fit_model,
    labelled_vae,
    perturbed,
    plain,
    real,
    same,
    vae_config,
)
from vae_augment.training import FitConfig, ImageData

GARMENTS = "fashion-mnist"  # mirrored by flip+shift; its classes differ in detail, which a lighter KL term keeps
ANOTHER_SEED = 1_000_003
SAMPLES = 60_000
_FULL: dict[tuple[str, int, FitConfig], VAEModel] = {}


def oversampled(draw: Draw) -> Batch:
    """The labelled images, those of rare classes again and again until all classes are equal."""
    images, labels = draw.real
    groups = [(labels == label).nonzero()[:, 0] for label in range(len(draw.labelled.classes))]
    most = max(len(rows) for rows in groups)
    rows = torch.cat([rows.repeat(math.ceil(most / len(rows)))[:most] for rows in groups])
    return images[rows], labels[rows]


def with_extra(draw: Draw) -> Batch:
    """The labelled images and the extra ones."""
    return draw.real if draw.extra is None else draw.on_device(join(draw.labelled, draw.extra))


def full_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of many labelled images, made to be sampled.

    Draws of all labels differ in nothing that it sees, so that they share one, of seed 0.
    """
    usual = sampling_config(draw, draw.labelled)
    config = replace(usual, epochs=2 * usual.epochs, seed=0)
    key = (draw.labelled.name, len(draw.labelled), config)
    if key not in _FULL:
        _FULL[key] = fit_model(draw.labelled, config)
    return _FULL[key]


def sampling_config(draw: Draw, data: ImageData) -> FitConfig:
    """A wide VAE with a lighter KL term, lightest for garments: the detail that it keeps tells their classes apart.

    Few labels are dropped: with half of them, as is usual, samples of a class stray into others.
    """
    beta, latent_dim = (0.1, 64) if data.name == GARMENTS else (0.5, 32)
    return replace(vae_config(draw, data), width="base", beta=beta, latent_dim=latent_dim, label_dropout=0.1)


def samples_only(draw: Draw, vae: MakeVAE, distort: Distort = same) -> TrainingSet:
    """60,000 generated images, balanced, and not one real one."""
    length = max(len(draw.labelled.classes), round(SAMPLES * min(1.0, draw.budget.effort)))
    images, labels = generated(draw, vae, length)
    return TrainingSet(images, labels, view=lambda batch, target: (distort(batch), target))


def generated(draw: Draw, vae: MakeVAE, length: int) -> Batch:
    """`length` generated images [N, C, H, W], all classes in turn, and their labels [N], on the device."""
    images, classes = draw.once(vae).sample(length, seed=draw.seed)
    assert classes is not None  # the VAEs of the methods know their classes
    return images.to(draw.budget.device), classes.to(draw.budget.device)


def classical(data: str, images: Images = real) -> tuple[Method, ...]:
    """The methods that a VAE has to beat, over the training images that `images` makes of a draw.

    "none" always takes the images as they are. "duplicate" trains again with another seed: the number of updates is
    fixed, so to show each image twice as often is only another order of the same images, and what it gains is luck.
    """
    methods = (
        Method("none", plain),
        Method("duplicate", partial(plain, images=images, seed_offset=ANOTHER_SEED)),
        Method("affine", partial(distorted, distort=affine, images=images)),
        Method("affine+elastic", partial(distorted, distort=affine_elastic, images=images)),
    )
    flipped = Method("flip+shift", partial(distorted, distort=flip_shift, images=images))
    return (*methods, flipped) if data == GARMENTS else methods


def ceilings() -> tuple[Method, ...]:
    """What real images would have given in the place of generated ones."""
    distort = partial(distorted, distort=affine_elastic, images=with_extra)
    return (
        Method("extra real images", partial(plain, images=with_extra), CEILING),
        Method("affine+elastic+extra real images", distort, CEILING),
    )


def strong(data: str, trained_on: str, images: Images = real) -> tuple[Method, ...]:
    """Half of the images, moved three times as far as the posterior spreads, the detail kept: for few images."""
    perturb = partial(perturbed, vae=labelled_vae, p=0.5, strength=3.0, residual=True, images=images)
    methods = (
        Method("strong VAE", perturb, WITH_VAE, trained_on),
        Method("affine+elastic+strong VAE", partial(perturb, distort=affine_elastic), WITH_VAE, trained_on),
    )
    flipped = Method("flip+shift+strong VAE", partial(perturb, distort=flip_shift), WITH_VAE, trained_on)
    return (*methods, flipped) if data == GARMENTS else methods


def gentle() -> tuple[Method, ...]:
    """A fifth of the images, moved by half, the detail kept: for where there is little to gain and much to lose."""
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
