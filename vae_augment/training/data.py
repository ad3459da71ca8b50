"""Sources of training images, each read whole into memory as uint8 tensors."""

import gzip
import hashlib
import math
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError, NotFoundError
from ..spec import MAX_CLASSES

EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST", "usps": "USPS"}
DATASETS |= {f"emnist-{split}": "EMNIST" for split in EMNIST_SPLITS}  # our names -> the classes of torchvision
NAMED = ("digits", *DATASETS)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow knows others that start outside programs
DAMAGED = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)  # what damaged files raise
StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ImageData:
    """Images [N, C, H, W] uint8, labels [N] int64 with -1 = unknown, and the names of the classes."""

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()

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
        digest = hashlib.sha256(self.images.contiguous().numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()[:16]

    def subset(self, index: Tensor) -> "ImageData":
        """The images and labels at `index`."""
        return ImageData(self.name, self.images[index], self.labels[index], self.classes)


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


def load_data(source: StrPath, root: StrPath | None = None, *, train: bool = True, download: bool = False) -> ImageData:
    """Read a named data set, a file of images or a folder of image files.

    Args:
        source: a name of `NAMED`; an .npz with `images` ([N,H,W], [N,C,H,W] or [N,H,W,C]; uint8, or float in [0, 1])
            and perhaps `labels` and `classes`, or MedMNIST's `train_images`, `train_labels`, `test_images`, ...; a
            .csv in Kaggle's form (label and pixels of a square image); an IDX file such as
            `train-images-idx3-ubyte.gz` with its labels file beside it; or a folder of class folders, of images
            without labels, or of both, without hidden files (16-bit images are scaled to 8).
        root: the folder in which torchvision keeps its data sets.
        train: True for the training part of a named data set, False for its test part; of MedMNIST's files likewise.
        download: let torchvision download what `root` lacks.

    Raises:
        NotFoundError: nothing there.
        InputError: empty, or images of different sizes, or values out of range.
    """
    if source == "digits":
        return _digits(train)
    if source in NAMED:
        return _torchvision(str(source), root, train, download)
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".npz" and path.is_file():
        return _npz(path, train)
    if path.suffix == ".csv" and path.is_file():
        return _csv(path)
    if "idx3-ubyte" in path.name and path.is_file():
        return _idx(path)
    raise NotFoundError(
        f"There is no data {str(source)!r}: it is neither a folder, nor an .npz, .csv or IDX file, nor one of "
        f"{', '.join(NAMED)}."
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
    classes = getattr(data, "classes", None) or range(10)
    return ImageData(name, images[:, None].contiguous(), labels.to(torch.int64), tuple(str(label) for label in classes))


def _npz(path: Path, train: bool) -> ImageData:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = dict(arrays)
    except (*DAMAGED, TypeError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}.") from None
    prefix = "" if "images" in content else ("train_" if train else "test_")  # MedMNIST's names
    if f"{prefix}images" not in content:
        raise InputError(f"{path} has the arrays {sorted(content)}; one named 'images' is needed.")
    images = _as_uint8(_channels_first(content[f"{prefix}images"], path), path)
    return _labelled(path, images, content.get(f"{prefix}labels"), content.get("classes"))


def _csv(path: Path) -> ImageData:
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
    return _labelled(path, images, rows[:, 0] if columns > side**2 else None)


def _idx(path: Path) -> ImageData:
    labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return _labelled(path, _read_idx(path, 3)[:, None], _read_idx(labels, 1) if labels.is_file() else None)


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


def _labelled(
    path: Path, images: np.ndarray, labels: np.ndarray | None, classes: np.ndarray | None = None
) -> ImageData:
    """The data of a file; labels are [N] or [N, 1], classes are named 0, 1, ... where there are no names."""
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
    return ImageData(path.name, torch.from_numpy(images), rows, tuple(str(name) for name in names))


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


def _folder(path: Path) -> ImageData:
    files = _image_files(path)
    if not files:
        raise InputError(f"{path} holds no images. Give PATH/class/image.png, or images without labels in PATH itself.")
    folders = [file.relative_to(path).parts[0] if file.parent != path else None for file in files]
    classes = sorted({folder for folder in folders if folder is not None})
    labels = [-1 if folder is None else classes.index(folder) for folder in folders]
    arrays = [_read_image(file) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"{file} has the shape {array.shape}, but {files[0]} has {arrays[0].shape} (channels, height, width). "
                "Resize or convert the images so that all agree."
            )
    return ImageData(path.name, torch.from_numpy(np.stack(arrays)), torch.tensor(labels), tuple(classes))


def _image_files(path: Path) -> list[Path]:
    """The images in `path` and its folders, also those behind links, but nothing hidden."""
    extensions = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}
    files: list[Path] = []
    for folder, inner, names in os.walk(path, followlinks=True):
        here = Path(folder).resolve()
        is_loop = {name: here.is_relative_to(Path(folder, name).resolve()) for name in inner}
        inner[:] = [name for name in inner if not name.startswith(".") and not is_loop[name]]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.suffix.lower() in extensions and file.is_file())


def _read_image(file: Path) -> np.ndarray:
    formats = [kind for kind in FORMATS if kind in Image.OPEN]  # a Pillow may be built without some
    try:
        with Image.open(file, formats=formats) as image:
            pixels = _pixels(image)
    except (*DAMAGED, SyntaxError, IndexError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as an image: {error}. Remove it or replace it.") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 pixels [H, W] or [H, W, 3]. Pillow's `convert` clips 16-bit and float images instead of scaling them."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    values = np.asarray(image)
    highest = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= highest):
        raise ValueError(f"its values, from {values.min()} to {values.max()}, do not lie in 0..{highest}")
    return np.rint(values * (255 / highest)).astype(np.uint8)
