"""An image and nine perturbed versions of it, beside nine that an affine distortion gives."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..model.pixels import from_batch, to_batch
from ..model.sampling import class_index
from ..model.vae_model import VAEModel
from ..transforms.augment import VAEAugment
from ..transforms.distortions import affine
from ..transforms.perturbation import MODES
from .code import quoted, script
from .originals import Original

VERSIONS = 9
# torch's generator belongs to the process: two clicks at once would mix up each other's numbers
_generator = threading.Lock()


class Settings(NamedTuple):
    """What a person chooses on the page.

    label: the name of the image's class, for the mode "prior" alone; "" = the one that is known.
    seed: of torch's generator, which is set before the nine versions are made.
    """

    mode: str = "posterior"
    strength: float = 1.0
    p: float = 1.0
    residual: bool = False
    label: str = ""
    seed: int = 0


class Perturbed(NamedTuple):
    """Images [9, C, H, W] uint8, and Python that gives the same `versions`, as `nine`."""

    versions: Tensor
    distorted: Tensor
    code: str


def usable_modes(model: VAEModel) -> list[str]:
    """The modes that this model can be used in."""
    return [mode for mode in MODES if _is_accepted(model, mode, residual=None)]


def has_residual(model: VAEModel) -> bool:
    """Whether `residual=True` has a meaning for this model."""
    return _is_accepted(model, "posterior", residual=True)


def perturb(model: VAEModel, name: str, original: Original, settings: Settings) -> Perturbed:
    """Nine versions of an image.

    Args:
        name: the argument of `load` that gave the model, for the code.

    Raises:
        InputError: the mode needs a class that is missing, or a value is out of range.
    """
    batch = original.image.repeat(VERSIONS, 1, 1, 1)
    augment = VAEAugment(
        model,
        mode=settings.mode,
        strength=settings.strength,
        p=settings.p,
        residual=settings.residual,
        labels_getter=_labels_getter(settings.mode),
    )
    if settings.mode == "prior":
        labels = torch.full((VERSIONS,), _label(model, original, settings))
        versions = _seeded(settings.seed, lambda: augment(batch, labels)[0])
    else:
        versions = _seeded(settings.seed, lambda: augment(batch))
    images = to_batch(batch, model.spec.image_shape)
    distorted = from_batch(_seeded(settings.seed, lambda: affine(images)), torch.uint8)
    return Perturbed(versions, distorted, _code(model, name, original, settings))


def _is_accepted(model: VAEModel, mode: str, residual: bool | None) -> bool:
    try:
        VAEAugment(model, mode=mode, residual=residual, labels_getter=_labels_getter(mode))
    except InputError:
        return False
    return True


def _labels_getter(mode: str) -> str | None:
    # In the other modes the nine copies of one image would be partners of each other.
    return "default" if mode == "prior" else None


def _label(model: VAEModel, original: Original, settings: Settings) -> int:
    name = settings.label or original.label
    if not name:
        raise InputError(
            f"The mode 'prior' needs the class of {original.caption}, which is not known. "
            "Choose it."
        )
    return class_index(name, model.spec.classes)


def _seeded(seed: int, make: Callable[[], Tensor]) -> Tensor:
    with _generator, torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def _code(model: VAEModel, name: str, original: Original, settings: Settings) -> str:
    arguments = [quoted(name)]
    if len(usable_modes(model)) > 1:
        arguments.append(f'mode="{settings.mode}"')
    arguments += [f"strength={settings.strength:g}", f"p={settings.p:g}"]
    if has_residual(model):
        arguments.append(f"residual={settings.residual}")
    copies = f"image.repeat({VERSIONS}, 1, 1, 1)"
    last = f"nine = augment({copies})"
    if settings.mode == "prior":
        arguments.append('labels_getter="default"')
        label = _label(model, original, settings)
        last = f"nine, _ = augment({copies}, torch.full(({VERSIONS},), {label}))"
    return script(
        ("import torch", "from vae_augment import VAEAugment", *original.imports),
        (
            *original.code,
            f"augment = VAEAugment({', '.join(arguments)})",
            f"torch.manual_seed({settings.seed})",
            last,
        ),
    )
