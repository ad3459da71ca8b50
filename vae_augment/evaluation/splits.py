"""Where a comparison's images come from, and which of them a draw gets labels for."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..training import ImageData, load_data
from ..training.data import NAMED

EXTRA = 10  # times the labelled images: what a ceiling sees besides them
HELD_OUT = 0.2  # of each class, where data come without a test part


class Split(NamedTuple):
    """The parts of a training set: what `Draw` says of them."""

    labelled: ImageData
    pool: ImageData | None = None
    extra: ImageData | None = None


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        data, root: as for `load_data`.
        test: where the test images lie, when not in the named data set; with neither, a fifth of each class is
            held out, another one in each draw.
    """

    data: str
    root: str | None = None
    test: tuple[str, ...] = ()

    def load(self, seed: int) -> tuple[ImageData, ImageData]:
        """Training and test images of a draw; `InputError` where they are not of two classes at least."""
        train = _load(self.data, self.root, True)
        if len(train.classes) < 2:
            raise InputError(
                f"{train.name} has {len(train.classes)} classes; a comparison needs labelled images of at least two: a "
                "folder of class folders, an .npz with labels, or a named data set."
            )
        if self.test:
            return train, _test_images([_load(path, None, True) for path in self.test], train)
        if self.data in NAMED:
            return train, _load(self.data, self.root, False)
        return held_out_per_class(train, HELD_OUT, seed)


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
    """`per_class` labels of each class; the pool, where asked for, is every other image, without its label.

    Raises:
        InputError: a class has fewer images.
    """
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if len(rows) < per_class:
            raise InputError(
                f"The class {name!r} has {len(rows)} images to train on, fewer than {per_class} labels per class. "
                "Ask for fewer labels per class, or give more images."
            )
    labelled = torch.cat([rows[:per_class] for rows in classes])
    extra = torch.cat([rows[per_class : (1 + EXTRA) * per_class] for rows in classes])
    return Split(data.subset(labelled), _others(data, labelled) if pool else None, _subset(data, extra))


def everything(data: ImageData, seed: int, pool: bool = False) -> Split:
    """All labels, whatever the seed; the pool, where asked for, is the images that have none."""
    rows = (data.labels >= 0).nonzero()[:, 0]
    return Split(data.subset(rows), _others(data, rows) if pool else None)


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


@functools.lru_cache(maxsize=4)
def _load(data: str, root: str | None, train: bool) -> ImageData:
    return load_data(data, root, train=train)


def _test_images(parts: list[ImageData], like: ImageData) -> ImageData:
    for part in parts:
        if part.classes != like.classes or part.image_shape != like.image_shape:
            raise InputError(
                f"The test images of {part.name} are {part.image_shape} of the classes {part.classes}; those to train "
                f"on are {like.image_shape} of {like.classes}. They must agree."
            )
    images, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    is_labelled = labels >= 0
    return ImageData("test", images[is_labelled], labels[is_labelled], like.classes)


def _subset(data: ImageData, rows: Tensor) -> ImageData | None:
    return data.subset(rows) if len(rows) else None
