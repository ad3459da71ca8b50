"""Where the images of a comparison come from, and which of them get labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..training import ImageData, load_data
from ..training.data.named import NAMED

HELD_OUT = 0.2  # of each class, where the data have no test images of their own


class LoadedImages(NamedTuple):
    """Images in memory. `test` is None where there are no test images beside those to train on."""

    train: ImageData
    test: ImageData | None

    def for_seed(self, seed: int) -> tuple[ImageData, ImageData]:
        """Training and test images; a fifth of each class is held out where there is no test."""
        if self.test is None:
            return held_out_per_class(self.train, HELD_OUT, seed)
        return self.train, self.test


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        data, root: as for `load_data`.
        test: paths of test images. Where it is empty: the test images of a named data set, or a
            fifth of each class.
        reading: further keyword arguments of `load_data`; its `split` is that of the training
            images.
    """

    data: str
    root: str | None = None
    test: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def load(self) -> LoadedImages:
        """Read the images; `InputError` unless they have labels of at least two classes."""
        train = load_data(self.data, self.root, **self.reading)
        if len(train.classes) < 2:
            raise InputError(
                f"{train.name} has {len(train.classes)} classes; a comparison needs labelled "
                "images of at least two: a folder of class folders, an .npz with labels, or a "
                "named data set."
            )
        if self.test:
            tests = [self._read_test(path, None) for path in self.test]
            return LoadedImages(train, joined_test_images(tests, train))
        if self.data in NAMED:
            return LoadedImages(train, self._read_test(self.data, self.root))
        return LoadedImages(train, None)

    def _read_test(self, path: str, root: str | None) -> ImageData:
        reading = {name: value for name, value in self.reading.items() if name != "split"}
        return load_data(path, root, train=False, **reading)


class Split(NamedTuple):
    """Images whose labels are used, and perhaps a pool of others, whose labels are hidden (-1)."""

    labelled: ImageData
    pool: ImageData | None = None


def shuffled_classes(data: ImageData, seed: int) -> list[Tensor]:
    """The row numbers of the labelled images of each class, in an order that the seed decides."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    labels = data.labels[order]
    return [order[labels == label] for label in range(len(data.classes))]


def choose_labels(
    data: ImageData, seed: int, per_class: int | None = None, pool: bool = False
) -> Split:
    """Choose which images are labelled, at random.

    Args:
        data: the images, of which those with the label -1 can only be in the pool.
        seed: of the choice.
        per_class: how many of each class; None = all that have a label.
        pool: give the other images as a pool.

    Raises:
        InputError: a class has fewer images than `per_class`.
    """
    classes = shuffled_classes(data, seed)
    for name, rows in zip(data.classes, classes, strict=True):
        if per_class is not None and len(rows) < per_class:
            raise InputError(
                f"The class {name!r} has {len(rows)} images to train on, fewer than {per_class} "
                "labels per class. Ask for fewer labels per class, or give more images."
            )
    if per_class is None:
        chosen = (data.labels >= 0).nonzero()[:, 0]
    else:
        chosen = torch.cat([rows[:per_class] for rows in classes])
    labelled = data.subset(chosen)
    others = _other_rows(data, chosen)
    if not pool or not len(others):
        return Split(labelled)
    unlabelled = replace(data.subset(others), labels=torch.full((len(others),), -1))
    return Split(labelled, unlabelled)


def held_out_per_class(data: ImageData, share: float, seed: int) -> tuple[ImageData, ImageData]:
    """Training and test images: of each class the `share`, at least one image, is for testing.

    Images without a label are all for training.
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


def joined_test_images(tests: list[ImageData], train: ImageData) -> ImageData:
    """The labelled images of all `tests`, their classes numbered as those of `train`.

    Raises:
        InputError: a class or a shape that `train` does not have.
    """
    for test in tests:
        if not set(test.classes) <= set(train.classes) or test.image_shape != train.image_shape:
            raise InputError(
                f"The test images of {test.name} are {test.image_shape} of the classes "
                f"{test.classes}; those to train on are {train.image_shape} of {train.classes}. "
                "They must agree."
            )
    images = torch.cat([test.images for test in tests])
    labels = torch.cat([_numbered_like(test, train) for test in tests])
    return choose_labels(ImageData("test", images, labels, train.classes), seed=0).labelled


def _numbered_like(test: ImageData, train: ImageData) -> Tensor:
    numbers = [train.classes.index(name) for name in test.classes]
    return torch.tensor([*numbers, -1])[test.labels]  # the label -1 takes the last
