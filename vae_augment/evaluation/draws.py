"""Which images an arm gets labels for: the draws that arms are paired on."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..training import ImageData

EXTRA = 10  # times the labelled images: what the ceiling sees besides them
HEAD, TAIL = 1000, 10


class Split(NamedTuple):
    """The parts of a training set: what `Draw` says of them."""

    labelled: ImageData
    pool: ImageData | None = None
    extra: ImageData | None = None


def shuffled_classes(data: ImageData, seed: int) -> list[Tensor]:
    """The rows of each class in an order that the seed decides; unlabelled images are in none."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    labels = data.labels[order]
    return [order[labels == label] for label in range(len(data.classes))]


def some(data: ImageData, most: int | None) -> ImageData:
    """At most `most` of the images, always the same ones; None = all."""
    if most is None or len(data) <= most:
        return data
    return data.subset(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:most])


def draw_labelled(data: ImageData, per_class: int, seed: int) -> ImageData:
    """`per_class` images of each class, drawn at random; the same ones for the same seed."""
    return data.subset(torch.cat([rows[:per_class] for rows in shuffled_classes(data, seed)]))


def few_labels(data: ImageData, seed: int, per_class: int, pool: bool = False) -> Split:
    """`per_class` labels a class; the pool, where asked for, is every other image, without its label.

    Raises:
        InputError: a class has fewer images.
    """
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if len(rows) < per_class:
            raise InputError(
                f"The class {name!r} has {len(rows)} images to train on, fewer than {per_class} labels a class. "
                "Ask for fewer labels a class, or give more images."
            )
    labelled = torch.cat([rows[:per_class] for rows in classes])
    extra = torch.cat([rows[per_class : (1 + EXTRA) * per_class] for rows in classes])
    return Split(data.subset(labelled), _others(data, labelled) if pool else None, _subset(data, extra))


def everything(data: ImageData, seed: int, pool: bool = False) -> Split:
    """All labels, whatever the seed; the pool, where asked for, is the images that have none."""
    rows = (data.labels >= 0).nonzero()[:, 0]
    return Split(data.subset(rows), _others(data, rows) if pool else None)


def long_tail(data: ImageData, seed: int) -> Split:
    """Class sizes that fall geometrically from 1,000 to 10, over the classes in an order that the seed decides.

    The extra images fill every class up to 1,000.
    """
    classes = shuffled_classes(data, seed)
    ranks = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed + 1)).tolist()
    sizes = [round(HEAD * (TAIL / HEAD) ** (rank / (len(classes) - 1))) for rank in ranks]
    labelled = torch.cat([rows[:size] for rows, size in zip(classes, sizes, strict=True)])
    extra = torch.cat([rows[size:HEAD] for rows, size in zip(classes, sizes, strict=True)])
    return Split(data.subset(labelled), None, data.subset(extra))


def held_out_per_class(data: ImageData, share: float, seed: int) -> tuple[ImageData, ImageData]:
    """A part to train on and a part to test on, `share` of each class and at least one image of it.

    Unlabelled images stay in the first part.

    Raises:
        InputError: a class has fewer than two images.
    """
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if len(rows) < 2:
            raise InputError(
                f"The class {name!r} of {data.name} has {len(rows)} labelled images; at least one to train and one to "
                "test on are needed. Add images, or give test images of their own."
            )
    test = torch.cat([rows[: max(1, round(share * len(rows)))] for rows in classes])
    is_kept = torch.ones(len(data), dtype=torch.bool)
    is_kept[test] = False
    return data.subset(is_kept.nonzero()[:, 0]), data.subset(test)


def _others(data: ImageData, rows: Tensor) -> ImageData | None:
    is_other = torch.ones(len(data), dtype=torch.bool)
    is_other[rows] = False
    others = _subset(data, is_other.nonzero()[:, 0])
    return others and ImageData(data.name, others.images, torch.full_like(others.labels, -1), data.classes)


def _subset(data: ImageData, rows: Tensor) -> ImageData | None:
    return data.subset(rows) if len(rows) else None
