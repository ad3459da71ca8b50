"""What `fit` refuses or warns of before its first step."""

import warnings
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, ModelFormatError
from ..model.spec import MAX_NAME, refused_names
from . import distributed
from .config import FitConfig
from .data.image_data import ImageData
from .data.value_range import darkness
from .latent_distribution import LEAST_IMAGES, room_per_class
from .trainer import Trainer

MOST_NAMED = 10  # small classes in a warning
MOST_CHARACTERS = 500  # for their names
CHARACTERS_TO_COME = 500  # by about so much the training facts grow until the end of a run


def check_name(output: Path) -> None:
    """Refuse the name of a model file for a checkpoint."""
    if output.suffix == ".onnx":
        checkpoint = output.with_suffix(".safetensors")
        raise InputError(
            f"{output} ends in .onnx, but this writes a checkpoint. Give {checkpoint}, and then "
            f"call export({str(checkpoint)!r}, {str(output)!r})."
        )


def check_classes(data: ImageData, config: FitConfig) -> None:
    """Refuse to give a network the labels of fewer than two classes."""
    if config.conditional and not data.classes:
        raise InputError(
            f"{data.name} has no labels, which a conditional model needs. Leave out --conditional."
        )
    if config.conditional and len(data.classes) == 1:
        raise InputError(
            f"{data.name} has one class, {data.classes[0]!r}; a conditional model needs at least "
            "two. Leave out --conditional, or give a folder with one folder per class."
        )


def check_images(data: ImageData, config: FitConfig) -> None:
    """Refuse classes without images, which generation would make images of; warn of dark images."""
    empty = data.empty_classes()
    if empty and config.samples:
        raise InputError(
            f"{data.name} has no image of the class {str(empty[0])[:250]!r}, but images of it "
            "would be generated. Give data.without_empty_classes(), which numbers the others anew."
        )
    found = darkness(data.images.numpy())
    if found and distributed.rank() == 0:
        warnings.warn(
            f"{data.name}: {found}; a VAE learns little from that. Scale them to 0..255, as by "
            "load_data(..., value_range=(LOWEST, HIGHEST)).",
            stacklevel=3,
        )


def check_exportable(trainer: Trainer) -> None:
    """Refuse a run whose model `export` would refuse."""
    spec = trainer.checkpoint().spec
    room_per_class(len(spec.classes), spec.latent_dim, trainer.weight_bytes)
    names = refused_names(spec.classes)
    if names:
        raise InputError(
            f"{trainer.data.name} has the class {str(names[0])[:250]!r}, which a model file "
            f"cannot hold. Class names differ, and have at most {MAX_NAME} characters, without "
            "line breaks and no-break spaces. Rename it."
        )
    to_come = {"results": " " * CHARACTERS_TO_COME}
    try:
        replace(spec, training={**spec.training, **to_come}).check()
    except ModelFormatError as error:
        raise InputError(
            f"A model of {trainer.data.name} with these settings could not be exported: {error} "
            "Use fewer classes, shorter class names, smaller images or a smaller latent."
        ) from None


def warn_of_small_classes(trainer: Trainer) -> None:
    """Warn of classes with too few images to learn them from."""
    if not trainer.config.conditional or distributed.rank() > 0:
        return
    data = trainer.data
    counts = data.labels[data.labels >= 0].bincount(minlength=len(data.classes)).tolist()
    small = [
        f"{name!r} ({count})"
        for name, count in zip(data.classes, counts, strict=True)
        if count < LEAST_IMAGES
    ]
    if small:
        named = ", ".join(small[:MOST_NAMED]) + (", ..." if len(small) > MOST_NAMED else "")
        warnings.warn(
            f"{data.name} has too few images of {named[:MOST_CHARACTERS]} to learn these classes; "
            "generated images of them will be copies or look like others. Add images, or leave "
            "these classes out.",
            stacklevel=3,
        )
