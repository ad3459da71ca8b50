"""IDX files, the form of MNIST."""

import gzip
import re
from pathlib import Path

import numpy as np

from ...errors import InputError
from . import emnist
from .arrays import DAMAGED, Arrays
from .options import ReadOptions

_IMAGES = re.compile(r"idx3[-.]ubyte", re.I)


def is_idx(path: Path) -> bool:
    """Whether a file is named like one of IDX images."""
    return _IMAGES.search(path.name) is not None


def read_idx(path: Path, options: ReadOptions) -> Arrays:
    """The images, with the labels of the file beside it, compressed or not."""
    images = _read_idx(path, 3)[:, None]
    beside = [file for file in _labels_of(path) if file.is_file()]
    labels = _read_idx(beside[0], 1) if beside and options.labels else None
    split = emnist.split_of(path.name)
    if split is not None:
        return emnist.arrays(images, labels, split, options, path)
    return Arrays(images, labels)


def _labels_of(path: Path) -> list[Path]:
    name = path.name
    for image, label in (("images", "labels"), ("idx3", "idx1")):
        name = name.replace(image, label).replace(image.upper(), label.upper())
    other = name[:-3] if name.lower().endswith(".gz") else f"{name}.gz"
    return [path.with_name(name), path.with_name(other)]


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"it does not begin like unsigned bytes in {dimensions} dimension(s)")
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read as IDX: {error}.") from None
