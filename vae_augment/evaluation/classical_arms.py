"""The arms without a VAE: the bar to pass, and the ceilings above it."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .arms import CEILING, GARMENTS, Arm, Draw, Recipe, join
from .classical import affine, affine_elastic, flip_shift
from .classifier import Batch

Images = Callable[[Draw], Batch]
Distort = Callable[[Tensor], Tensor]
ANOTHER_SEED = 1_000_003


def real(draw: Draw) -> Batch:
    """The labelled images as they are."""
    return draw.real


def oversampled(draw: Draw) -> Batch:
    """The labelled images, those of rare classes again and again until all classes are equal."""
    images, labels = draw.real
    groups = [(labels == label).nonzero()[:, 0] for label in range(len(draw.labelled.classes))]
    most = max(len(rows) for rows in groups)
    rows = torch.cat([rows.repeat(-(-most // len(rows)))[:most] for rows in groups])
    return images[rows], labels[rows]


def with_extra(draw: Draw) -> Batch:
    """The labelled images and the extra ones."""
    return draw.real if draw.extra is None else draw.on_device(join(draw.labelled, draw.extra))


def plain(draw: Draw, images: Images = real, seed_offset: int = 0) -> Recipe:
    """The images without augmentation."""
    return Recipe(*images(draw), seed_offset=seed_offset)


def distorted(draw: Draw, distort: Distort, images: Images = real) -> Recipe:
    """The images, each distorted anew whenever it is seen."""
    return Recipe(*images(draw), view=lambda batch, labels: (distort(batch), labels))


def classical_arms(images: Images = real) -> tuple[Arm, ...]:
    """The arms that a VAE has to beat, over the training images that `images` makes of a draw.

    "none" always takes the images as they are. "duplicate" trains again with another seed: the number of updates is
    fixed, so to show each image twice as often is only another order of the same images, and what it gains is luck.
    """
    return (
        Arm("none", plain),
        Arm("duplicate", partial(plain, images=images, seed_offset=ANOTHER_SEED)),
        Arm("affine", partial(distorted, distort=affine, images=images)),
        Arm("affine+elastic", partial(distorted, distort=affine_elastic, images=images)),
        # What garments bear, which the distortions of digits harm.
        Arm("flip+shift", partial(distorted, distort=flip_shift, images=images), data=GARMENTS),
    )


def ceiling_arms() -> tuple[Arm, ...]:
    """What real images would have given in the place of generated ones."""
    return (
        Arm("extra real images", partial(plain, images=with_extra), CEILING),
        Arm("affine+elastic+extra real images", partial(distorted, distort=affine_elastic, images=with_extra), CEILING),
    )
