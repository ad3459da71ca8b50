"""IDX files, the form of MNIST."""

import gzip
from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import DAMAGED, Arrays


def read_idx(path: Path) -> Arrays:
    """The images, with the labels of the file beside it."""
    labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return Arrays(_read_idx(path, 3)[:, None], _read_idx(labels, 1) if labels.is_file() else None)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read()
        if content[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"it does not begin like unsigned bytes in {dimensions} dimension(s)")
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read as IDX: {error}.") from None
