"""Data sets that are given by name: scikit-learn's digits, and those of torchvision."""

import numpy as np
import torch

from ...errors import InputError, NotFoundError
from . import emnist
from .image_data import ImageData, StrPath
from .options import ReadOptions
from .split_names import choose_split

DATASETS = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "qmnist": "QMNIST",
    "usps": "USPS",
}
DATASETS |= {
    f"emnist-{split}": "EMNIST" for split in emnist.SPLITS
}  # our names -> the classes of torchvision
NAMED = ("digits", *DATASETS)


def read_named(name: str, root: StrPath | None, download: bool, options: ReadOptions) -> ImageData:
    """The data set of this name, with all its classes."""
    is_train = choose_split(("train", "test"), options, name) == "train"
    data = _digits(is_train) if name == "digits" else _torchvision(name, root, is_train, download)
    if options.labels:
        return data
    return ImageData(data.name, data.images, torch.full_like(data.labels, -1))


def _digits(train: bool) -> ImageData:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[
        :, None
    ]  # 0..16 in the file
    labels = torch.from_numpy(digits.target.astype(np.int64))
    # The last 500 images are the test part, as the examples of scikit-learn split by order.
    part = slice(0, -500) if train else slice(-500, None)
    return ImageData("digits", images[part], labels[part], tuple("0123456789"))


def _torchvision(name: str, root: StrPath | None, train: bool, download: bool) -> ImageData:
    from torchvision import datasets

    if root is None:
        raise InputError(
            f"Reading {name} needs the folder that holds it: pass --root DIR (root=DIR)."
        )
    family, _, split = name.partition("-")
    options = {"split": split} if family == "emnist" else {}
    try:
        data = getattr(datasets, DATASETS[name])(root, train=train, download=download, **options)
    except (RuntimeError, OSError) as error:
        raise NotFoundError(
            f"{name} is not in {root} ({error}). Pass --download to fetch it there."
        ) from None
    images = torch.as_tensor(data.data)[:, None]
    labels = torch.as_tensor(data.targets)
    if name == "qmnist":
        labels = labels[:, 0]  # the other columns say who wrote the digit
    classes = tuple(map(str, getattr(data, "classes", None) or range(10)))
    if family == "emnist":
        images = emnist.upright(images)
        labels = torch.from_numpy(emnist.from_zero(labels.numpy(), split, name))
        classes = emnist.classes_of(split)
    return ImageData(name, images.contiguous(), labels.to(torch.int64), classes)
