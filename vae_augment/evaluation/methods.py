"""The methods that `compare` tries: ways to train the small classifier, with and without a VAE."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from torch import nn
from torchvision.transforms import v2

from ..errors import InputError
from ..model.vae_model import load
from ..training.data import StrPath
from ..transforms.augment import VAEAugment
from ..transforms.distortions import (
    affine_elastic,
    flip_shift,
    one_by_one,
    thickness_affine_elastic,
)
from .classifier import Batch, Distort, identity, train_classifier
from .repetition import MakeVAE, Repetition
from .vaes import given_vae, labelled_vae, pool_vae

Settings = Mapping[str, Any]  # arguments of `VAEAugment`
# What the VAE of a method was trained on; "none" stands for a method without a VAE.
TrainedOn = Literal["none", "labelled only", "pool", "given"]

NO_AUGMENTATION = "none"
# For few images, in spreads of the posterior, as it was chosen
STRONG: Settings = {"strength": 3.0, "unit": 1.0}
FAR: Settings = {"strength": 6.0}  # of "glyphs", for few images: a spread of its prior


@dataclass(frozen=True)
class Method:
    """A way to train the small classifier; one row of the table.

    It can be pickled if its functions can.

    Attributes:
        name: as in the table.
        distort: the augmentation of each batch of images.
        make_vae: the VAE by which `VAEAugment` perturbs the images; None = they are not perturbed.
        settings: arguments of `VAEAugment`.
        vae_is_first: perturb first and then distort; else the other way round.
        images: what the classifier is trained on.
        trained_on: what the VAE is trained on.
        usage: how a user writes it.
    """

    name: str
    distort: Distort = identity
    make_vae: MakeVAE | None = None
    settings: Settings = field(default_factory=dict)
    vae_is_first: bool = False
    images: Callable[[Repetition], Batch] = Repetition.labelled_batch
    trained_on: TrainedOn = "none"
    usage: str = ""

    def train(self, repetition: Repetition) -> nn.Module:
        """The trained classifier, in evaluation mode."""
        images, labels = self.images(repetition)
        return train_classifier(
            images,
            labels,
            len(repetition.labelled.classes),
            distort=self.augmentation(repetition),
            updates=repetition.updates,
            seed=repetition.seed,
        )

    def augmentation(self, repetition: Repetition) -> Distort:
        """`distort`, and `VAEAugment` before or after it if the method has a VAE."""
        if self.make_vae is None:
            return self.distort
        perturb = VAEAugment(repetition.vae(self.make_vae), **self.settings)
        if self.vae_is_first:
            return lambda images: self.distort(perturb(images))
        return lambda images: perturb(self.distort(images))


WITHOUT_VAE = (
    Method(NO_AUGMENTATION),
    Method("affine+elastic", affine_elastic),
    Method("thickness+affine+elastic", thickness_affine_elastic),
    Method("flip+shift", flip_shift),
    Method("TrivialAugmentWide", partial(one_by_one, v2.TrivialAugmentWide())),
)

# What comes before `VAEAugment`: the beginning of the method's name, the distortion, and in words.
BEFORE_VAE = (
    ("", identity, "and no other augmentation"),
    (
        "thickness+affine+elastic+",
        thickness_affine_elastic,
        "after thickness, affine and elastic distortion",
    ),
    ("flip+shift+", flip_shift, "after mirroring and shifting"),
)

GLYPHS = Method(
    "glyphs+thickness+affine+elastic",
    thickness_affine_elastic,
    partial(given_vae, "glyphs"),
    FAR,
    vae_is_first=True,
    trained_on="given",
    usage='VAEAugment("glyphs", strength=3.0) before thickness, affine and elastic distortion',
)


def methods_to_try(
    image_shape: tuple[int, int, int],
    *,
    pool: bool = False,
    model: StrPath | None = None,
    sha256: str | None = None,
    settings: Settings | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Method, ...]:
    """No augmentation, distortions, and `VAEAugment` alone and after distortions.

    Args:
        image_shape: (C, H, W) of the images; `glyphs` is tried where it takes them.
        pool: train the VAEs on the pool too.
        model: a bundled name or an .onnx file to try; None = each repetition trains a VAE.
        sha256: the digest that the file must have whenever it is loaded.
        settings: arguments of `VAEAugment`; None = the two recommended settings.
        names: of the methods to keep, besides no augmentation; None = all.

    Raises:
        InputError: a name that no method has.
    """
    make_vae: MakeVAE = pool_vae if pool else labelled_vae
    trained_on: TrainedOn = "pool" if pool else "labelled only"
    if model is not None:
        make_vae = partial(given_vae, os.fspath(model), sha256=sha256)
        trained_on = "given"
    with_vae = []
    for prefix, chosen in _settings_by_prefix(settings).items():
        for before, distort, words in BEFORE_VAE:
            with_vae.append(
                Method(
                    f"{before}{prefix}VAE",
                    distort,
                    make_vae,
                    chosen,
                    trained_on=trained_on,
                    usage=f"{_written(model, chosen)} {words}",
                )
            )
    takes_no_choice = model is None and settings is None
    if takes_no_choice and image_shape == load("glyphs", provider="cpu").spec.image_shape:
        with_vae.append(GLYPHS)
    return _named((*WITHOUT_VAE, *with_vae), names)


def _settings_by_prefix(settings: Settings | None) -> dict[str, Settings]:
    """The settings to try, by what their names begin with."""
    if settings is None:
        return {"": {}, "strong ": STRONG}
    return {"": settings}


def _written(model: StrPath | None, settings: Settings) -> str:
    """A call of `VAEAugment` as a user writes it."""
    written = "MODEL" if model is None else repr(os.fspath(model))
    arguments = [written, *(f"{name}={value}" for name, value in settings.items())]
    return f"VAEAugment({', '.join(arguments)})"


def _named(methods: tuple[Method, ...], names: Sequence[str] | None) -> tuple[Method, ...]:
    if names is None:
        return methods
    known = [method.name for method in methods]
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no method {name!r} for these images. Choose from: {', '.join(known)}."
            )
    return tuple(method for method in methods if method.name in (NO_AUGMENTATION, *names))
