"""Where the images of a comparison come from, and which of them get labels in a draw."""

import functools
import multiprocessing
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..training import ImageData, load_data
from ..training.data.named import NAMED

HELD_OUT = 0.2  # of each class, where the data have no test part


class Split(NamedTuple):
    """The labelled images that a draw uses, and its pool."""

    labelled: ImageData
    pool: ImageData | None = None


@dataclass(frozen=True)
class Source:
    """Where images come from.

    `data` and `root` as for `load_data`, perhaps paths of test images, and `reading`, further
    keyword arguments of `load_data`; its `split` is that of the training images. What is read is
    kept for this source alone, so that a new one sees what has changed at the path.
    """

    data: str
    root: str | None = None
    test: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict, hash=False)
    key: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False, compare=False)

    def load(self, seed: int) -> tuple[ImageData, ImageData]:
        """Training and test images.

        Without `test`, the test part of a named data set, or a fifth of each class.
        """
        train = self._read(self.data)
        if len(train.classes) < 2:
            raise InputError(
                f"{train.name} has {len(train.classes)} classes; a comparison needs labelled "
                "images of at least two: a folder of class folders, an .npz with labels, or a "
                "named data set."
            )
        if self.test:
            return train, _test_images([self._read(path, False) for path in self.test], train)
        if self.data in NAMED:
            return train, self._read(self.data, False)
        return held_out_per_class(train, HELD_OUT, seed)

    def _read(self, path: str, train: bool = True) -> ImageData:
        reading = tuple(
            (name, value) for name, value in self.reading.items() if train or name != "split"
        )
        return _load(self.key, path, self.root, train, reading)


def shuffled_classes(data: ImageData, seed: int) -> list[Tensor]:
    """The row numbers of each class, in an order that the seed decides.

    Those of unlabelled images are left out.
    """
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    labels = data.labels[order]
    return [order[labels == label] for label in range(len(data.classes))]


def choose_labels(
    data: ImageData, seed: int, per_class: int | None = None, pool: bool = False
) -> Split:
    """`per_class` random images of each class (None = all with a label), and if asked for, the others as a pool."""
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if per_class is not None and len(rows) < per_class:
            raise InputError(
                f"The class {name!r} has {len(rows)} images to train on, fewer than {per_class} "
                "labels per class. Ask for fewer labels per class, or give more images."
            )
    chosen = (
        (data.labels >= 0).nonzero()[:, 0]
        if per_class is None
        else torch.cat([r[:per_class] for r in classes])
    )
    others = _other_rows(data, chosen)
    if not pool or not len(others):
        return Split(data.subset(chosen))
    return Split(
        data.subset(chosen), replace(data.subset(others), labels=torch.full((len(others),), -1))
    )


def held_out_per_class(data: ImageData, share: float, seed: int) -> tuple[ImageData, ImageData]:
    """Training and test images.

    `share` of each class, at least one image, is for testing, and no unlabelled image.
    """
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if len(rows) < 2:
            raise InputError(
                f"The class {name!r} of {data.name} has {len(rows)} labelled images; at least one "
                "to train and one to test on are needed. Add images, or give test images of their "
                "own."
            )
    test = torch.cat([rows[: max(1, round(share * len(rows)))] for rows in classes])
    return data.subset(_other_rows(data, test)), data.subset(test)


def _other_rows(data: ImageData, rows: Tensor) -> Tensor:
    return torch.from_numpy(np.setdiff1d(np.arange(len(data)), rows.numpy()))


@functools.lru_cache(maxsize=4)
def _load(
    key: str, path: str, root: str | None, train: bool, reading: tuple[tuple[str, Any], ...]
) -> ImageData:
    """The data at a path, read once for each `key` in each process; only the first process warns."""
    with warnings.catch_warnings():
        if multiprocessing.parent_process() is not None:
            warnings.simplefilter("ignore")
        return load_data(path, root, train=train, **dict(reading))


def _test_images(parts: list[ImageData], like: ImageData) -> ImageData:
    """The labelled images of all parts, their classes numbered as those of `like`."""
    for part in parts:
        if not set(part.classes) <= set(like.classes) or part.image_shape != like.image_shape:
            raise InputError(
                f"The test images of {part.name} are {part.image_shape} of the classes "
                f"{part.classes}; those to train on are {like.image_shape} of {like.classes}. "
                "They must agree."
            )
    images = torch.cat([part.images for part in parts])
    labels = torch.cat([_numbered_like(part, like) for part in parts])
    return choose_labels(ImageData("test", images, labels, like.classes), 0).labelled


def _numbered_like(part: ImageData, like: ImageData) -> Tensor:
    numbers = [like.classes.index(name) for name in part.classes]
    return torch.tensor([*numbers, -1])[part.labels]  # the label -1 takes the last
