"""The methods with a pool.

Its images get labels by a guess, and a VAE is trained on the most_confident of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from vae_augment import VAEModel
from vae_augment.evaluation.classifier import Batch
from vae_augment.evaluation.experiment import POOL, WITH_VAE, Draw, Method
from vae_augment.evaluation.pseudo_labels import (
    UPDATES,
    contrastive_features,
    most_confident,
    smoothed_answers,
    spread_labels,
    train_teacher,
)
from vae_augment.training import ImageData
from vae_augment.transforms.distortions import affine_elastic

from .draws import OTHER, StudyDraw
from .methods import GARMENTS, MakeVAE, generated, sampling_config

_FEATURES: dict[tuple[str, int, int], Tensor] = {}


@dataclass(frozen=True)
class Answers:
    """Probabilities of the classes [N, classes] for the labelled images and the pool, and the updates they took."""

    probabilities: Tensor
    updates: int


Guess = Callable[[StudyDraw], Answers]


def teacher(draw: StudyDraw) -> tuple[nn.Module, int]:
    """A classifier trained to answer the same for distorted images of the pool, and the number of its updates."""
    images, _ = draw.on_device(draw.with_pool)
    updates, labels = draw.shortened(UPDATES), draw.labelled.labels.to(draw.device)
    return train_teacher(images, labels, len(draw.labelled.classes), updates, draw.seed), updates


def by_agreement(draw: StudyDraw) -> Answers:
    """The teacher's answers, averaged over neighbours in its features: for digits."""
    images, _ = draw.on_device(draw.with_pool)
    model, updates = draw.once(teacher)
    return Answers(smoothed_answers(model, images), updates)


def by_neighbours(draw: StudyDraw) -> Answers:
    """Labels spread over neighbours in features learned without labels.

    For garments, which distortions harm.
    """
    updates = draw.shortened(UPDATES)
    features = shared_features(draw, updates)
    return Answers(
        spread_labels(features, draw.labelled.labels, len(draw.labelled.classes)), updates
    )


def shared_features(draw: StudyDraw, updates: int) -> Tensor:
    """Features [N, 128] of the images of `draw.with_pool`.

    All draws have the same images, with other labels, so they share one training, of seed 0, on
    sorted images.
    """
    images, _ = draw.on_device(draw.with_pool)
    order = torch.from_numpy(np.lexsort(draw.with_pool.images.flatten(1).numpy().T))
    key = (draw.labelled.name, len(images), updates)
    if key not in _FEATURES:
        _FEATURES[key] = contrastive_features(images[order], updates, seed=0)
    return _FEATURES[key][order.argsort()]


def surest_images(draw: StudyDraw, guess: Guess) -> ImageData:
    """The labelled images and those of the pool that are the most_confident of their class, under the classes guessed."""
    rows, labels = most_confident(draw.once(guess).probabilities, draw.labelled.labels)
    return ImageData(draw.labelled.name, draw.with_pool.images[rows], labels, draw.labelled.classes)


def surest_vae(draw: StudyDraw, guess: Guess) -> VAEModel:
    """A class-conditional VAE of the most_confident images."""
    data = surest_images(draw, guess)
    return draw.fit(data, sampling_config(draw, data))


def with_generated(draw: StudyDraw, guess: Guess, vae: MakeVAE) -> Batch:
    """The most_confident images, and as many generated ones."""
    images, labels = pseudo_labelled(draw, guess)
    made, classes = generated(draw, vae, len(images))
    return torch.cat([images, made]), torch.cat([labels, classes])


def pseudo_labelled(draw: StudyDraw, guess: Guess) -> Batch:
    """The most_confident images."""
    return draw.on_device(surest_images(draw, guess))


@dataclass(frozen=True)
class Guessed(Method):
    """A method whose images have labels by a guess, whose updates count too."""

    guess: Guess = by_agreement

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        model, updates = super().train(draw)
        return model, updates + draw.once(self.guess).updates


class Teacher(Method):
    """A method whose classifier is the teacher itself."""

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        return draw.once(teacher)


def methods(data: str) -> tuple[Method, ...]:
    """The guess alone, and with as many images of a VAE of the most_confident ones.

    Garments are guessed by neighbours.
    """
    guess = by_neighbours if data == GARMENTS else by_agreement
    alone = partial(Guessed, guess=guess, images=partial(pseudo_labelled, guess=guess))
    images = partial(with_generated, guess=guess, vae=partial(surest_vae, guess=guess))
    both = partial(Guessed, guess=guess, images=images, kind=WITH_VAE, trained_on=POOL)
    return (
        alone("pseudo-labels", kind=OTHER)
        if data == GARMENTS
        else Teacher("pseudo-labels", kind=OTHER),
        both("pseudo-labels+samples"),
        both("affine+elastic+pseudo-labels+samples", affine_elastic),
    )
