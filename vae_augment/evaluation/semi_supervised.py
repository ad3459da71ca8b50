"""The arms of the regime with a pool: its images get labels by a guess, and a VAE is trained on the surest of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..runtime import VAEModel
from ..training import ImageData
from .arms import DIGITS, GARMENTS, OTHER, POOL, WITH_VAE, Arm, Draw, Recipe, Trained
from .classical import affine_elastic
from .classical_arms import Distort
from .labelling import UPDATES, agreeing_teacher, neighbours_answers, smoothed_answers, surest
from .models import fit_model
from .neighbours import contrastive_features
from .vae_arms import Vae, generated, same, sampling_config

_FEATURES: dict[tuple[str, int, int], Tensor] = {}


@dataclass(frozen=True)
class Answers:
    """Probabilities of the classes [N, classes] for the labelled images and the pool, and the updates they took."""

    probabilities: Tensor
    updates: int


Guess = Callable[[Draw], Answers]


def teacher(draw: Draw) -> Trained:
    """A classifier trained to answer the same for distorted images of the pool."""
    images, _ = draw.on_device(draw.unlabelled_too)
    updates, classes = draw.vae_updates(UPDATES), len(draw.labelled.classes)
    return Trained(agreeing_teacher(images, draw.real[1], classes, updates, draw.seed), updates)


def by_agreement(draw: Draw) -> Answers:
    """What the teacher and the neighbours in its features answer: for digits."""
    images, _ = draw.on_device(draw.unlabelled_too)
    trained = draw.once(teacher)
    return Answers(smoothed_answers(trained.model, images), trained.updates)


def by_neighbours(draw: Draw) -> Answers:
    """What the neighbours say among features learned without labels: for garments, which no distortion leaves alone."""
    updates = draw.vae_updates(UPDATES)
    features = shared_features(draw, updates)
    return Answers(neighbours_answers(features, draw.labelled.labels, len(draw.labelled.classes)), updates)


def shared_features(draw: Draw, updates: int) -> Tensor:
    """Features [N, 128] of the images of `draw.unlabelled_too`.

    Draws differ in the labels and not in the images, so that they share one training, of seed 0, on the images in an
    order of their own.
    """
    images, _ = draw.on_device(draw.unlabelled_too)
    order = torch.from_numpy(np.lexsort(draw.unlabelled_too.images.flatten(1).numpy().T))
    key = (draw.labelled.name, len(images), updates)
    if key not in _FEATURES:
        _FEATURES[key] = contrastive_features(images[order], updates, seed=0)
    return _FEATURES[key][order.argsort()]


def surest_images(draw: Draw, guess: Guess) -> ImageData:
    """The labelled images and those of the pool that are the surest of their class, under the classes guessed."""
    rows, labels = surest(draw.once(guess).probabilities, draw.labelled.labels)
    return ImageData(draw.labelled.name, draw.unlabelled_too.images[rows], labels, draw.labelled.classes)


def surest_vae(draw: Draw, guess: Guess) -> VAEModel:
    """A class-conditional VAE of the surest images."""
    data = surest_images(draw, guess)
    return fit_model(data, sampling_config(draw, data))


def pseudo_labelled(draw: Draw, guess: Guess, distort: Distort = same) -> Recipe:
    """The surest images."""
    images, labels = draw.on_device(surest_images(draw, guess))
    earlier = draw.once(guess).updates
    return Recipe(images, labels, view=lambda batch, target: (distort(batch), target), earlier_updates=earlier)


def with_generated(draw: Draw, guess: Guess, vae: Vae, distort: Distort = same) -> Recipe:
    """The surest images, and as many generated ones."""
    recipe = pseudo_labelled(draw, guess, distort)
    images, labels = generated(draw, vae, len(recipe.images))
    return replace(recipe, images=torch.cat([recipe.images, images]), labels=torch.cat([recipe.labels, labels]))


def _shared_teacher(draw: Draw) -> Trained:
    return draw.once(teacher)


_digits_vae, _garments_vae = partial(surest_vae, guess=by_agreement), partial(surest_vae, guess=by_neighbours)
_of_digits = partial(with_generated, guess=by_agreement, vae=_digits_vae)
_of_garments = partial(with_generated, guess=by_neighbours, vae=_garments_vae)

ARMS = (
    Arm("pool without VAE", _shared_teacher, OTHER, data=DIGITS),
    Arm("VAE only", _of_digits, WITH_VAE, POOL, DIGITS),
    Arm("affine+elastic+VAE", partial(_of_digits, distort=affine_elastic), WITH_VAE, POOL, DIGITS),
    Arm("pool without VAE", partial(pseudo_labelled, guess=by_neighbours), OTHER, data=GARMENTS),
    Arm("VAE only", _of_garments, WITH_VAE, POOL, GARMENTS),
    Arm("affine+elastic+VAE", partial(_of_garments, distort=affine_elastic), WITH_VAE, POOL, GARMENTS),
)
