"""Sources of training images, each read whole into memory as uint8 tensors."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, NotFoundError, suggestion
from ..files import digest_of
from ..spec import MAX_CLASSES
from .array_files import Arrays, read_csv, read_idx, read_mat, read_npz
from .hugging_face import is_hugging_face, read_hugging_face
from .image_folders import read_folder

EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST", "usps": "USPS"}
DATASETS |= {f"emnist-{split}": "EMNIST" for split in EMNIST_SPLITS}  # our names -> the classes of torchvision
NAMED = ("digits", *DATASETS)
READERS = {".npz": read_npz, ".csv": read_csv, ".mat": read_mat}
StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ImageData:
    """Images [N, C, H, W] uint8, labels [N] int64 with -1 = unknown, names of the classes, and of the files if any."""

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.images):
            raise InputError(f"{self.name} holds no images. Give at least one, or another source.")
        if 0 in self.images.shape:
            raise InputError(f"{self.name} holds images of shape {self.image_shape}, which have no pixels.")
        if self.labels.dtype != torch.int64:  # others would be cut off or never match a class
            raise InputError(f"{self.name} has labels of type {self.labels.dtype}; give int64, -1 = unknown.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that other images or labels would change."""
        return digest_of(self.images.numpy(), self.labels.numpy())[:16]

    def subset(self, index: Tensor) -> "ImageData":
        """The images and labels at `index`."""
        files = tuple(self.files[row] for row in torch.arange(len(self))[index].tolist()) if self.files else ()
        return ImageData(self.name, self.images[index], self.labels[index], self.classes, files)


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def load_data(
    source: StrPath | Any, root: StrPath | None = None, *, train: bool = True, download: bool = False
) -> ImageData:
    """Read a named data set, a file of images, a folder of image files, or a dataset of Hugging Face.

    Args:
        source: a name of `NAMED`; an .npz with `images` ([N,H,W], [N,C,H,W] or [N,H,W,C]; uint8, or float in [0, 1])
            and perhaps `labels` and `classes`, MedMNIST's `train_images`, `train_labels`, `test_images`, ..., or
            Kuzushiji's `kmnist-train-imgs.npz` with its labels file beside it; a .mat of EMNIST; a .csv in Kaggle's
            form (label and pixels of a square image); an IDX file such as `train-images-idx3-ubyte.gz` with its
            labels file beside it; a folder of class folders, of images without labels, or of both, without hidden
            files (16-bit images are scaled to 8); or Hugging Face's `datasets.Dataset` or `DatasetDict`, or the folder
            that its `save_to_disk` wrote.
        root: the folder in which torchvision keeps its data sets.
        train: True for the training part of a named data set, False for its test part; likewise of what holds both,
            as MedMNIST's and EMNIST's files and a `DatasetDict`.
        download: let torchvision download what `root` lacks.

    Raises:
        NotFoundError: nothing there.
        InputError: empty, or images of different sizes, or values out of range.
    """
    if is_hugging_face(source):
        name = Path(source).name if isinstance(source, str | os.PathLike) else "dataset"
        return _labelled(name, read_hugging_face(source, train), name)
    if source == "digits":
        return _digits(train)
    if source in NAMED:
        return _torchvision(str(source), root, train, download)
    path = Path(source)
    if path.is_dir():
        return _labelled(path, read_folder(path), path.name)
    if path.suffix in READERS and path.is_file():
        return _labelled(path, READERS[path.suffix](path, train), path.name)
    if "idx3-ubyte" in path.name and path.is_file():
        return _labelled(path, read_idx(path), path.name)
    raise NotFoundError(
        f"There is no data {str(source)!r}: it is neither a folder, nor an .npz, .mat, .csv or IDX file, nor one of "
        f"{', '.join(NAMED)}.{suggestion(source, NAMED)}"
    )


def _digits(train: bool) -> ImageData:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]  # 0..16 in the file
    labels = torch.from_numpy(digits.target.astype(np.int64))
    # The last 500 images are the test part, as the examples of scikit-learn split by order.
    part = slice(0, -500) if train else slice(-500, None)
    return ImageData("digits", images[part], labels[part], tuple("0123456789"))


def _torchvision(name: str, root: StrPath | None, train: bool, download: bool) -> ImageData:
    from torchvision import datasets

    if root is None:
        raise InputError(f"Reading {name} needs the folder that holds it: pass --root DIR (root=DIR).")
    family, _, split = name.partition("-")
    options = {"split": split} if family == "emnist" else {}
    try:
        data = getattr(datasets, DATASETS[name])(root, train=train, download=download, **options)
    except (RuntimeError, OSError) as error:
        raise NotFoundError(f"{name} is not in {root} ({error}). Pass --download to fetch it there.") from None
    images, labels = torch.as_tensor(data.data), torch.as_tensor(data.targets)
    if family == "emnist":
        images = images.transpose(1, 2)  # the files hold the images transposed
    if name == "qmnist":
        labels = labels[:, 0]  # the other columns say who wrote the digit
    classes, labels = tuple(map(str, getattr(data, "classes", None) or range(10))), labels.to(torch.int64)
    if name == "emnist-letters":  # labels 1 to 26: an empty class 0 would be generated as often as the others
        classes, labels = classes[1:], labels - 1
    return ImageData(name, images[:, None].contiguous(), labels, classes)


def _labelled(path: object, arrays: Arrays, name: str) -> ImageData:
    """The data of a source; labels are [N] or [N, 1], classes are named 0, 1, ... where there are no names."""
    images, labels, classes, files = arrays
    count = len(images)
    if labels is None:
        labels = np.full(count, -1)
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{path}: labels of type {labels.dtype}; give integers, and the names in an array 'classes'.")
    is_whole = labels.dtype.kind != "f" or bool((labels == np.floor(labels)).all())
    if labels.shape not in ((count,), (count, 1)) or labels.min(initial=0) < -1 or not is_whole:
        raise InputError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype} do not go with {count} images; "
            "give one integer per image, from -1 (unknown) up."
        )
    highest = labels.max() if count else -1
    if highest >= MAX_CLASSES:
        raise InputError(f"{path}: label {highest} is too high; at most {MAX_CLASSES} classes are possible.")
    names = range(int(highest) + 1) if classes is None else np.atleast_1d(classes)
    if highest >= len(names):
        raise InputError(f"{path}: label {highest} has no name among the {len(names)} classes.")
    rows = torch.from_numpy(labels.reshape(count).astype(np.int64))
    return ImageData(name, torch.from_numpy(images), rows, tuple(str(each) for each in names), files)
