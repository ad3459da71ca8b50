"""Sources of training images, each read whole into memory as uint8 tensors."""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError, NotFoundError

EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST", "usps": "USPS"}
DATASETS |= {f"emnist-{split}": "EMNIST" for split in EMNIST_SPLITS}  # our names -> the classes of torchvision
NAMED = ("digits", *DATASETS)
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
    """Read a named data set, an .npz file or a folder of images.

    Args:
        source: a name of `NAMED`; an .npz with `images` ([N,H,W], [N,C,H,W] or [N,H,W,C]; uint8, or float in [0, 1])
            and perhaps `labels` and `classes`; or a folder of class folders, of images without labels, or of both.
        root: the folder in which torchvision keeps its data sets.
        train: True for the training part of a named data set, False for its test part.
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
        return _npz(path)
    raise NotFoundError(
        f"There is no data {str(source)!r}: it is neither a folder, nor an .npz file, nor one of {', '.join(NAMED)}."
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


def _npz(path: Path) -> ImageData:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}.") from None
    if "images" not in content:
        raise InputError(f"{path} has the arrays {sorted(content)}; one named 'images' is needed.")
    images = torch.from_numpy(_as_uint8(_channels_first(content["images"], path), path))
    labels = content.get("labels", np.full(len(images), -1)).astype(np.int64)
    if labels.shape != (len(images),) or labels.min(initial=-1) < -1:
        raise InputError(
            f"{path}: labels of shape {labels.shape} do not go with {len(images)} images; "
            "give one integer per image, from -1 (unknown) up."
        )
    highest = int(labels.max(initial=-1))
    classes = content.get("classes", np.arange(highest + 1))
    if highest >= len(classes):
        raise InputError(f"{path}: label {highest} has no name among the {len(classes)} classes.")
    return ImageData(path.name, images, torch.from_numpy(labels), tuple(str(name) for name in classes))


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
    extensions = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in extensions and file.is_file())
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


def _read_image(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except OSError as error:
        raise InputError(f"{file} cannot be read as an image: {error}. Remove it or replace it.") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
