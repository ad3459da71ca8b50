"""The methods with a pool: its images get labels by a guess, and a VAE is trained on the surest of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vae_augment import VAEModel
from vae_augment.evaluation.distortions import affine_elastic
from vae_augment.evaluation.experiment import OTHER, POOL, WITH_VAE, Draw, Method, Trained, TrainingSet
from vae_augment.evaluation.methods import Distort, MakeVAE, fit_model, same
from vae_augment.evaluation.neighbours import contrastive_features
from vae_augment.evaluation.pseudo_labels import (
    UPDATES,
    agreeing_teacher,
    neighbours_answers,
    smoothed_answers,
    surest,
)
from vae_augment.training import ImageData

from .methods import GARMENTS, generated, sampling_config

_FEATURES: dict[tuple[str, int, int], Tensor] = {}


@dataclass(frozen=True)
class Answers:
    """Probabilities of the classes [N, classes] for the labelled images and the pool, and the updates they took."""

    probabilities: Tensor
    updates: int


Guess = Callable[[Draw], Answers]


def teacher(draw: Draw) -> Trained:
    """A classifier trained to answer the same for distorted images of the pool."""
    images, _ = draw.on_device(draw.with_pool)
    updates, classes = draw.vae_updates(UPDATES), len(draw.labelled.classes)
    return Trained(agreeing_teacher(images, draw.real[1], classes, updates, draw.seed), updates)


def by_agreement(draw: Draw) -> Answers:
    """What the teacher and the neighbours in its features answer: for digits."""
    images, _ = draw.on_device(draw.with_pool)
    trained = draw.once(teacher)
    return Answers(smoothed_answers(trained.model, images), trained.updates)


def by_neighbours(draw: Draw) -> Answers:
    """What the neighbours say among features learned without labels: for garments, which no distortion leaves alone."""
    updates = draw.vae_updates(UPDATES)
    features = shared_features(draw, updates)
    return Answers(neighbours_answers(features, draw.labelled.labels, len(draw.labelled.classes)), updates)


def shared_features(draw: Draw, updates: int) -> Tensor:
    """Features [N, 128] of the images of `draw.with_pool`.

    Draws differ in the labels and not in the images, so that they share one training, of seed 0, on the images in an
    order of their own.
    """
    images, _ = draw.on_device(draw.with_pool)
    order = torch.from_numpy(np.lexsort(draw.with_pool.images.flatten(1).numpy().T))
    key = (draw.labelled.name, len(images), updates)
    if key not in _FEATURES:
        _FEATURES[key] = contrastive_features(images[order], updates, seed=0)
    return _FEATURES[key][order.argsort()]


def surest_images(draw: Draw, guess: Guess) -> ImageData:
    """The labelled images and those of the pool that are the surest of their class, under the classes guessed."""
    rows, labels = surest(draw.once(guess).probabilities, draw.labelled.labels)
    return ImageData(draw.labelled.name, draw.with_pool.images[rows], labels, draw.labelled.classes)


def surest_vae(draw: Draw, guess: Guess) -> VAEModel:
    """A class-conditional VAE of the surest images."""
    data = surest_images(draw, guess)
    return fit_model(data, sampling_config(draw, data))


def pseudo_labelled(draw: Draw, guess: Guess, distort: Distort = same) -> TrainingSet:
    """The surest images."""
    images, labels = draw.on_device(surest_images(draw, guess))
    earlier = draw.once(guess).updates
    return TrainingSet(images, labels, view=lambda batch, target: (distort(batch), target), earlier_updates=earlier)


def with_generated(draw: Draw, guess: Guess, vae: MakeVAE, distort: Distort = same) -> TrainingSet:
    """The surest images, and as many generated ones."""
    real = pseudo_labelled(draw, guess, distort)
    images, labels = generated(draw, vae, len(real.images))
    return replace(real, images=torch.cat([real.images, images]), labels=torch.cat([real.labels, labels]))


def _shared_teacher(draw: Draw) -> Trained:
    return draw.once(teacher)


def methods(data: str) -> tuple[Method, ...]:
    """The guess alone, and with as many images of a VAE of the surest ones; garments are guessed by neighbours."""
    guess = by_neighbours if data == GARMENTS else by_agreement
    alone = partial(pseudo_labelled, guess=guess) if data == GARMENTS else _shared_teacher
    both = partial(with_generated, guess=guess, vae=partial(surest_vae, guess=guess))
    return (
        Method("pseudo-labels", alone, OTHER),
        Method("pseudo-labels+samples", both, WITH_VAE, POOL),
        Method("affine+elastic+pseudo-labels+samples", partial(both, distort=affine_elastic), WITH_VAE, POOL),
    )
