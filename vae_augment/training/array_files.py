"""Files of arrays of images: .npz, .mat, .csv and IDX."""

import gzip
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError

DAMAGED = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)  # what damaged files raise


class Arrays(NamedTuple):
    """Images [N, C, H, W] uint8, and perhaps labels, the names of the classes, and the names of the files."""

    images: np.ndarray
    labels: np.ndarray | None = None
    classes: np.ndarray | None = None
    files: tuple[str, ...] = ()


def read_npz(path: Path, train: bool) -> Arrays:
    """`images`, perhaps `labels` and `classes`; MedMNIST's names; or Kuzushiji's pair of files with one array each."""
    content = _load_npz(path)
    if set(content) == {"arr_0"}:  # the labels lie in a file beside it
        labels = path.with_name(path.name.replace("imgs", "labels"))
        is_pair = labels != path and labels.is_file()
        content = {"images": content["arr_0"]} | ({"labels": _load_npz(labels)["arr_0"]} if is_pair else {})
    prefix = "" if "images" in content else ("train_" if train else "test_")  # MedMNIST's names
    if f"{prefix}images" not in content:
        raise InputError(f"{path} has the arrays {sorted(content)}; one named 'images' is needed.")
    images = _as_uint8(_channels_first(content[f"{prefix}images"], path), path)
    return Arrays(images, content.get(f"{prefix}labels"), content.get("classes"))


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (*DAMAGED, TypeError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}.") from None


def read_mat(path: Path, train: bool) -> Arrays:
    """EMNIST's form: the images are transposed, one per row; a table names the labels by their character codes."""
    from scipy.io.matlab import MatReadError, loadmat

    try:
        content = loadmat(path, simplify_cells=True)["dataset"]
        part, names = content["train" if train else "test"], np.atleast_2d(content["mapping"])
        images = np.asarray(part["images"])
        side = math.isqrt(images.shape[1])
        images = images.reshape(-1, 1, side, side).swapaxes(2, 3)
        named = {int(row[0]): chr(row[-1]) for row in names}  # the letters' table has upper and lower case
    except (*DAMAGED, TypeError, KeyError, IndexError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path} cannot be read as a .mat file of EMNIST: {error!r}.") from None
    first = min(named)  # 1 for the letters: an empty class 0 would be generated as often as the others
    classes = np.array([named.get(label, "N/A") for label in range(first, max(named) + 1)])
    return Arrays(_as_uint8(images, path), np.atleast_1d(part["labels"]).astype(np.int64) - first, classes)


def read_csv(path: Path, train: bool) -> Arrays:
    """Kaggle's form: one image per line, perhaps below a header, the label before the pixels if there is one."""
    try:
        with open(path, encoding="utf-8") as file:
            has_header = re.search("[a-zA-Z]", file.readline()) is not None
        rows = np.loadtxt(path, np.int32, delimiter=",", skiprows=int(has_header), ndmin=2)
    except (*DAMAGED, OverflowError) as error:
        raise InputError(f"{path} cannot be read as a table of integers: {error}.") from None
    columns = rows.shape[1]
    side = math.isqrt(columns)
    pixels = rows[:, columns - side**2 :]
    if columns - side**2 > 1 or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 255:
        raise InputError(
            f"{path} has {columns} columns; give a label and the pixels of a square image, or the pixels alone, "
            "each an integer from 0 to 255."
        )
    images = pixels.astype(np.uint8).reshape(-1, 1, side, side)
    return Arrays(images, rows[:, 0] if columns > side**2 else None)


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


def _channels_first(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.ndim == 4 and images.shape[axis] in (1, 3) for axis in (1, 3))
    if first == last:
        raise InputError(
            f"{path}: images of shape {images.shape}; give [N,H,W], [N,C,H,W] or [N,H,W,C] with 1 or 3 channels."
        )
    return images if first else images.transpose(0, 3, 1, 2)


def _as_uint8(images: np.ndarray, path: Path) -> np.ndarray:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"{path}: images of type {images.dtype}; give uint8 in 0..255 or float in [0, 1].")
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise InputError(f"{path}: float images from {images.min()} to {images.max()}; they must lie in [0, 1].")
    return np.rint(np.ascontiguousarray(images) * 255).astype(np.uint8)
