"""Sources of training images, each read whole into memory as uint8 tensors."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import InputError, NotFoundError, suggestion
from ...model.spec import MAX_CLASSES
from .arrays import Arrays
from .folders import read_folder
from .hugging_face import is_hugging_face, read_hugging_face
from .idx import read_idx
from .image_data import ImageData, StrPath
from .mat import read_mat
from .named import NAMED, _digits, _torchvision
from .npz import read_npz
from .table import read_csv

READERS = {".npz": read_npz, ".csv": read_csv, ".mat": read_mat}


def load_data(
    source: StrPath | Any,
    root: StrPath | None = None,
    *,
    train: bool = True,
    download: bool = False,
) -> ImageData:
    """Read a named data set, a file of images, a folder of image files, or a dataset of Hugging Face.

    Args: source: a name of `NAMED`; an .npz with `images` ([N,H,W], [N,C,H,W] or [N,H,W,C]; uint8,
        or float in [0, 1])
            and perhaps `labels` and `classes`, MedMNIST's `train_images`, `train_labels`,
            `test_images`, ..., or Kuzushiji's `kmnist-train-imgs.npz` with its labels file beside
            it; a .mat of EMNIST; a .csv in Kaggle's form (label and pixels of a square image); an
            IDX file such as `train-images-idx3-ubyte.gz` with its labels file beside it; a folder
            of class folders, of images without labels, or of both, without hidden files (16-bit
            images are scaled to 8); or Hugging Face's `datasets.Dataset` or `DatasetDict`, or the
            folder that its `save_to_disk` wrote.
        root: the folder in which torchvision keeps its data sets.
        train: True for the training part of a named data set, False for its test part; likewise of
            what holds both, as MedMNIST's and EMNIST's files and a `DatasetDict`.
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
        f"There is no data {str(source)!r}: it is neither a folder, nor an .npz, .mat, .csv or "
        f"IDX file, nor one of {', '.join(NAMED)}.{suggestion(source, NAMED)}"
    )


def _labelled(path: object, arrays: Arrays, name: str) -> ImageData:
    """The data of a source.

    Labels are [N] or [N, 1], classes are named 0, 1, ... where there are no names.
    """
    images, labels, classes, files = arrays
    count = len(images)
    if labels is None:
        labels = np.full(count, -1)
    if labels.dtype.kind not in "biuf":
        raise InputError(
            f"{path}: labels of type {labels.dtype}; give integers, and the names in an array "
            "'classes'."
        )
    is_whole = labels.dtype.kind != "f" or bool((labels == np.floor(labels)).all())
    if labels.shape not in ((count,), (count, 1)) or labels.min(initial=0) < -1 or not is_whole:
        raise InputError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype} do not go with "
            f"{count} images; give one integer per image, from -1 (unknown) up."
        )
    highest = labels.max() if count else -1
    if highest >= MAX_CLASSES:
        raise InputError(
            f"{path}: label {highest} is too high; at most {MAX_CLASSES} classes are possible."
        )
    names = range(int(highest) + 1) if classes is None else np.atleast_1d(classes)
    if highest >= len(names):
        raise InputError(f"{path}: label {highest} has no name among the {len(names)} classes.")
    rows = torch.from_numpy(labels.reshape(count).astype(np.int64))
    return ImageData(
        name, torch.from_numpy(images), rows, tuple(str(each) for each in names), files
    )
