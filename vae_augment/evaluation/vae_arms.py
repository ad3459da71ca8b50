"""The arms with a VAE. A new one is a function from `Draw` to `Recipe`, or other arguments to one of these."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..dataset import VAESyntheticDataset
from ..runtime import VAEModel
from ..training import FitConfig, ImageData
from ..transform import VAEAugment
from .arms import GARMENTS, WITH_VAE, Arm, Draw, Recipe
from .classical import affine_elastic, flip_shift
from .classical_arms import Distort, Images, real
from .classifier import BATCH, Batch, View
from .models import BATCH as IMAGES_AN_UPDATE
from .models import fit_model, small_config

Vae = Callable[[Draw], VAEModel]
FEW_BETA = 0.2  # as in the demo
PASSES, FEWEST, MOST = 20, 400, 4700  # over the images, in updates of the VAE; 4,700 are ten passes over 60,000 images
SYNTHETIC = 60_000
_FULL: dict[tuple[str, int, FitConfig], VAEModel] = {}


def labelled_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images alone."""
    return fit_model(draw.labelled, vae_config(draw, draw.labelled, FEW_BETA))


def pool_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images and the pool, where there is one."""
    return fit_model(draw.unlabelled_too, vae_config(draw, draw.unlabelled_too))


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
    beta, latent_dim = (0.1, 64) if data.name == "fashion-mnist" else (0.5, 32)
    return replace(vae_config(draw, data), width="base", beta=beta, latent_dim=latent_dim, label_dropout=0.1)


def vae_config(draw: Draw, data: ImageData, beta: float = 1.0) -> FitConfig:
    """A small class-conditional VAE, with more updates for more images."""
    updates = draw.vae_updates(min(MOST, max(FEWEST, PASSES * len(data) // IMAGES_AN_UPDATE)))
    return small_config(data, updates, beta=beta, seed=draw.seed, device=draw.budget.device)


def same(images: Tensor) -> Tensor:
    """The distortion that changes nothing."""
    return images


def perturbed(
    draw: Draw,
    vae: Vae,
    distort: Distort = same,
    p: float = 0.5,
    strength: float = 1.0,
    residual: bool = False,
    images: Images = real,
) -> Recipe:
    """The images, distorted and then perturbed by `VAEAugment`."""
    augment = VAEAugment(draw.once(vae), p=p, strength=strength, residual=residual)
    return Recipe(*images(draw), view=lambda batch, labels: (augment(distort(batch)), labels))


_strong = partial(perturbed, p=0.5, strength=3.0, residual=True)


def synthetic_half(draw: Draw, vae: Vae) -> Recipe:
    """Batches of which one half is real and the other generated, new images each time."""
    length = max(1, draw.budget.updates * BATCH // 2)
    return Recipe(*draw.real, view=half_synthetic(VAESyntheticDataset(draw.once(vae), length, seed=draw.seed)))


def synthetic_only(draw: Draw, vae: Vae, distort: Distort = same) -> Recipe:
    """60,000 generated images, balanced, and not one real one."""
    length = max(len(draw.labelled.classes), round(SYNTHETIC * min(1.0, draw.budget.effort)))
    images, labels = generated(draw, vae, length)
    return Recipe(images, labels, view=lambda batch, target: (distort(batch), target))


def generated(draw: Draw, vae: Vae, length: int) -> Batch:
    """`length` generated images [N, C, H, W], all classes in turn, and their labels [N], on the device."""
    images, classes = draw.once(vae).sample(length, seed=draw.seed)
    assert classes is not None  # the VAEs of the arms know their classes
    return images.to(draw.budget.device), classes.to(draw.budget.device)


def half_synthetic(synthetic: VAESyntheticDataset) -> View:
    """A view whose second half of each batch is generated, going through `synthetic` again and again."""
    position = 0

    def view(images: Tensor, labels: Tensor) -> Batch:
        nonlocal position
        kept = len(images) - len(images) // 2
        index = [(position + step) % len(synthetic) for step in range(len(images) // 2)]
        position += len(index)
        made, classes = zip(*synthetic.__getitems__(index), strict=True)
        new, targets = torch.stack(made).to(images), torch.tensor(classes).to(labels)
        return torch.cat([images[:kept], new]), torch.cat([labels[:kept], targets])

    return view


def vae_arms(vae: Vae, trained_on: str) -> tuple[Arm, ...]:
    """The transform as it comes, alone and after affine+elastic, and the strong one that garments gain by."""
    return (
        *_alone_and_distorted(partial(perturbed, vae=vae), trained_on),
        _flipped(partial(_strong, vae=vae), trained_on),
    )


def gentle_arms(vae: Vae, trained_on: str) -> tuple[Arm, ...]:
    """A fifth of the images, moved by half, the detail kept: for where there is little to gain and much to lose."""
    return _alone_and_distorted(partial(perturbed, vae=vae, p=0.2, strength=0.5, residual=True), trained_on)


def strong_arms(vae: Vae, trained_on: str, images: Images = real) -> tuple[Arm, ...]:
    """Half of the images, moved thrice as far as the posterior spreads, the detail kept: for few images.

    On garments also with the distortion that they bear.
    """
    strong = partial(_strong, vae=vae, images=images)
    return (*_alone_and_distorted(strong, trained_on), _flipped(strong, trained_on, GARMENTS))


def synthetic_arms(vae: Vae, trained_on: str) -> tuple[Arm, ...]:
    """Generated images alone, plain and distorted."""
    return _alone_and_distorted(partial(synthetic_only, vae=vae), trained_on)


def _flipped(recipe: Callable[..., Recipe], trained_on: str, data: tuple[str, ...] = ()) -> Arm:
    return Arm("flip+shift+VAE", partial(recipe, distort=flip_shift), WITH_VAE, trained_on, data)


def _alone_and_distorted(recipe: Callable[..., Recipe], trained_on: str) -> tuple[Arm, ...]:
    return (
        Arm("VAE only", recipe, WITH_VAE, trained_on),
        Arm("affine+elastic+VAE", partial(recipe, distort=affine_elastic), WITH_VAE, trained_on),
    )
