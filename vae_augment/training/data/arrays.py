"""Files of arrays of images: .npz, .mat, .csv and IDX."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError

DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)  # what damaged files raise


class Arrays(NamedTuple):
    """Images [N, C, H, W] uint8, and perhaps labels, the names of the classes, and the names of the files."""

    images: np.ndarray
    labels: np.ndarray | None = None
    classes: np.ndarray | None = None
    files: tuple[str, ...] = ()


def _channels_first(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.ndim == 4 and images.shape[axis] in (1, 3) for axis in (1, 3))
    if first == last:
        raise InputError(
            f"{path}: images of shape {images.shape}; give [N,H,W], [N,C,H,W] or [N,H,W,C] with 1 "
            "or 3 channels."
        )
    return images if first else images.transpose(0, 3, 1, 2)


def _as_uint8(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"{path}: images of type {images.dtype}; give uint8 in 0..255 or float in [0, 1]."
        )
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise InputError(
            f"{path}: float images from {images.min()} to {images.max()}; they must lie in [0, 1]."
        )
    return np.rint(np.ascontiguousarray(images) * 255).astype(np.uint8)
