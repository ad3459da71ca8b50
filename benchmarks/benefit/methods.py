"""The study's methods that no user needs.

Repeated rare images, ceilings, and classifiers of generated images alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from vae_augment import VAEModel
from vae_augment.evaluation.classifier import Batch, Distort, identity
from vae_augment.evaluation.comparison import STRONG
from vae_augment.evaluation.experiment import WITH_VAE, Draw, Method
from vae_augment.evaluation.vaes import FEW_BETA, vae_config
from vae_augment.training import FitConfig, ImageData
from vae_augment.transforms.distortions import affine, affine_elastic, flip_shift

from .draws import CEILING, FULL, StudyDraw

Images = Callable[[StudyDraw], Batch]
MakeVAE = Callable[[StudyDraw], VAEModel]
GARMENTS = "fashion-mnist"  # mirrored by flip+shift; its classes differ in detail, which a lighter KL term keeps
GENTLE = {"p": 0.2, "strength": 0.5, "residual": True}
ANOTHER_SEED = 1_000_003
SAMPLES = 60_000
_FULL: dict[tuple[str, int, FitConfig, float], VAEModel] = {}


class Duplicate(Method):
    """A method whose classifier has another seed: other weights and another order of the images."""

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        return super().train(replace(draw, seed=draw.seed + ANOTHER_SEED))


def oversampled(draw: StudyDraw) -> Batch:
    """The labelled images, those of rare classes repeated until all classes have equally many."""
    images, labels = draw.real()
    groups = [(labels == label).nonzero()[:, 0] for label in range(len(draw.labelled.classes))]
    most = max(len(rows) for rows in groups)
    rows = torch.cat([rows.repeat(math.ceil(most / len(rows)))[:most] for rows in groups])
    return images[rows], labels[rows]


def with_extra(draw: StudyDraw) -> Batch:
    """The labelled images and the extra ones."""
    images, labels = draw.real()
    if draw.extra is None:
        return images, labels
    extra_images, extra_labels = draw.on_device(draw.extra)
    return torch.cat([images, extra_images]), torch.cat([labels, extra_labels])


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

    Few labels are dropped: when half of them are, as usual, samples of a class look like other
    classes.
    """
    beta, latent_dim = (0.1, 64) if data.name == GARMENTS else (0.5, 32)
    return replace(
        vae_config(draw, data), network="conv", beta=beta, latent_dim=latent_dim, label_dropout=0.1
    )


def many_samples(draw: StudyDraw) -> Batch:
    """60,000 generated images of balanced classes."""
    return generated(
        draw, full_vae, max(len(draw.labelled.classes), round(SAMPLES * min(1.0, draw.effort)))
    )


def generated(draw: StudyDraw, vae: MakeVAE, length: int) -> Batch:
    """`length` generated images [N, C, H, W], all classes in turn, and their labels [N], on the device."""
    images, classes = draw.once(vae).sample(length, seed=draw.seed)
    assert classes is not None  # the VAEs of the methods know their classes
    return images.to(draw.device), classes.to(draw.device)


def classical(data: str, images: Images = StudyDraw.real) -> tuple[Method, ...]:
    """The methods that a VAE has to beat, trained on the images that `images` makes of a draw.

    "none" always takes the images as they are. "duplicate" trains again with another seed: the
    number of updates is fixed, so showing each image twice as often only changes the order of the
    same images, and any gain is luck.
    """
    methods = (
        Method("none"),
        Duplicate("duplicate", images=images),
        Method("affine", affine, images=images),
        Method("affine+elastic", affine_elastic, images=images),
    )
    return (
        (*methods, Method("flip+shift", flip_shift, images=images)) if data == GARMENTS else methods
    )


def ceilings() -> tuple[Method, ...]:
    """What real images would have given in the place of generated ones."""
    return (
        Method("extra real images", images=with_extra, kind=CEILING),
        Method("affine+elastic+extra real images", affine_elastic, images=with_extra, kind=CEILING),
    )


def strong(data: str, trained_on: str, images: Images = StudyDraw.real) -> tuple[Method, ...]:
    """For few images.

    Perturb half of them, three times as far as the posterior spreads, and keep their detail.
    """

    def method(name: str, distort: Distort) -> Method:
        return Method(
            name, distort, labelled_vae, STRONG, images=images, kind=WITH_VAE, trained_on=trained_on
        )

    methods = (method("strong VAE", identity), method("affine+elastic+strong VAE", affine_elastic))
    return (*methods, method("flip+shift+strong VAE", flip_shift)) if data == GARMENTS else methods


def gentle() -> tuple[Method, ...]:
    """For many images.

    Perturb a fifth of them, by half of the posterior's spread, and keep their detail.
    """
    return (
        Method("gentle VAE", identity, full_vae, GENTLE, kind=WITH_VAE, trained_on=FULL),
        Method(
            "affine+elastic+gentle VAE",
            affine_elastic,
            full_vae,
            GENTLE,
            kind=WITH_VAE,
            trained_on=FULL,
        ),
    )


def samples() -> tuple[Method, ...]:
    """Generated images alone, plain and distorted."""
    return (
        Method("samples", images=many_samples, kind=WITH_VAE, trained_on=FULL),
        Method(
            "affine+elastic+samples",
            affine_elastic,
            images=many_samples,
            kind=WITH_VAE,
            trained_on=FULL,
        ),
    )
