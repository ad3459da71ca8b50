"""Sources of training images, each read whole into memory as uint8 tensors."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError, NotFoundError, suggestion
from .arrays import Arrays
from .folder_files import has_image_ending
from .folders import read_folder, read_picture
from .hugging_face import is_hugging_face, read_hugging_face
from .idx import is_idx, read_idx
from .image_data import ImageData, StrPath
from .labels import number_labels
from .mat import read_mat
from .named import NAMED, read_named
from .npz import read_npz
from .options import ReadOptions, advice
from .table import is_table, read_table
from .value_range import to_uint8, warn_of_darkness

Reader = Callable[[Path, ReadOptions], Arrays]
_WAYS = {
    ".npy": "Save it with its labels: numpy.savez(PATH, images=..., labels=...).",
    ".xlsx": "Save the sheet as CSV.",
    ".xls": "Save the sheet as CSV.",
    ".zip": "Unpack it and give the folder or file in it.",
    ".tar": "Unpack it and give the folder or file in it.",
    ".parquet": "Give datasets.load_dataset('parquet', data_files=PATH)['train'] in Python.",
}


def load_data(
    source: StrPath | Any,
    root: StrPath | None = None,
    *,
    train: bool = True,
    download: bool = False,
    split: str | None = None,
    labels: bool = True,
    label_column: str | int | None = None,
    background: str = "white",
    value_range: tuple[float, float] | None = None,
    frames: str | None = None,
    limit: int | None = None,
) -> ImageData:
    """Read a named data set, a file or folder of images, or a dataset of Hugging Face.

    What is read and how stands in docs/data.md. Classes are those that have images, numbered from
    0; warns where that changes the numbers, and where the images are nearly black.

    Args:
        source: a name of `NAMED`; an .npz with `images` ([N,H,W], [N,C,H,W] or [N,H,W,C]; uint8,
            uint16, bool, or float in [0, 1]) and perhaps `labels` and `classes`, or the .npz of
            Keras, MedMNIST or Kuzushiji; a .mat of EMNIST; a table (.csv, .tsv, perhaps .gz); an
            IDX file such as `train-images-idx3-ubyte.gz` with its labels file beside it; a folder
            of class folders, of images without labels, or of both; one image file, without a
            label; or Hugging Face's `datasets.Dataset`, `DatasetDict` or `IterableDataset`, or the
            folder that its `save_to_disk` wrote.
        root: the folder in which torchvision keeps its data sets.
        train: True for the training part of a source that has several, False for its test part.
        download: let torchvision download what `root` lacks.
        split: the name of the split, such as "val", in place of `train`.
        labels: False leaves the labels out.
        label_column: the name of the column or array that holds the labels, or the number of the
            column of a table, from 0, or from -1 at the end.
        background: the colour on which transparent images are put: a name or "#rrggbb".
        value_range: the values of black and of white, such as (0, 4095) for 12 bits; None = those
            of the type.
        frames: "all" reads each page or frame of a file as an image, "first" only the first; None =
            a file that has several is refused.
        limit: how many rows of a dataset of Hugging Face are read at most; a streamed one needs it.

    Raises:
        NotFoundError: nothing there.
        InputError: empty, or images of different sizes, or values out of range, or several labels
            per image, or what can be read in more than one way; the message says where and the way
            out.
    """
    options = ReadOptions(
        train, split, labels, label_column, background, value_range, frames, limit
    )
    if limit is not None and not is_hugging_face(source):
        raise InputError("limit is for datasets of Hugging Face; take rows of others: data.subset.")
    if isinstance(source, str) and source in NAMED:
        return read_named(source, root, download, options)
    if is_hugging_face(source):
        name = Path(source).name if isinstance(source, str | os.PathLike) else "dataset"
        return _image_data(name, name, read_hugging_face(source, options), options)
    path = _path(source)
    return _image_data(path, path.name, _reader(path)(path, options), options)


def _path(source: Any) -> Path:
    if isinstance(source, str | os.PathLike):
        return Path(source)
    raise InputError(
        f"load_data takes a name, a path or a dataset of Hugging Face, not {type(source).__name__}."
        " Give tensors to ImageData(NAME, images, labels, classes), images [N,C,H,W] uint8."
    )


def _reader(path: Path) -> Reader:
    """The function that reads such a file or folder."""
    if path.is_dir():
        return read_folder
    if not path.is_file():
        raise NotFoundError(
            f"There is no data {str(path)!r}: it is neither a folder, nor an .npz, .mat, .csv or "
            f"IDX file, nor one of {', '.join(NAMED)}.{suggestion(path, NAMED)}"
        )
    ending = path.suffix.lower()
    if is_idx(path):
        return read_idx
    if ending == ".npz":
        return read_npz
    if ending == ".mat":
        return read_mat
    if is_table(path):
        return read_table
    if has_image_ending(path):
        return read_picture
    way = _WAYS.get(ending, "Save it as one of these.")
    if "idx1" in path.name.lower():
        way = "Give the file of the images, train-images-idx3-ubyte or the like, beside it."
    raise InputError(
        f"{path} is not a kind of file that is read: folders, images, .npz, .mat, .csv, .tsv and "
        f"IDX files are. {way}"
    )


def _image_data(where: object, name: str, arrays: Arrays, options: ReadOptions) -> ImageData:
    """The data of a source: values scaled to 0..255, labels numbered from 0."""
    if options.split is not None and arrays.split is None:
        raise InputError(
            f"{where} has no splits, so that there is no {advice('split', options.split)}. Leave "
            "it out."
        )
    images = to_uint8(arrays.images, options.value_range, where)
    warn_of_darkness(images, arrays.images, where)
    pixels = torch.from_numpy(images)
    files = tuple(arrays.files)
    if not options.labels or arrays.labels is None:
        return ImageData(name, pixels, torch.full((len(images),), -1), files=files)
    if arrays.is_known:
        known = torch.from_numpy(arrays.labels)
        return ImageData(name, pixels, known, tuple(arrays.classes or ()), files)
    numbered = number_labels(arrays.labels, arrays.classes, len(images), where, arrays.unit)
    return ImageData(name, pixels, torch.from_numpy(numbered.labels), numbered.classes, files)
