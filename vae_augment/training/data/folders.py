"""Folders of image files."""

import os
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import InputError
from .arrays import DAMAGED, Arrays

FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "GIF",
    "TIFF",
    "WEBP",
    "PPM",
)  # Pillow knows others that start outside programs


def read_folder(path: Path) -> Arrays:
    """Images in class folders, without a label beside them, or both."""
    files = _image_files(path)
    if not files:
        raise InputError(
            f"{path} holds no images. Give PATH/class/image.png, or images without labels in PATH "
            "itself."
        )
    names = [file.relative_to(path) for file in files]
    folders = [name.parts[0] if len(name.parts) > 1 else None for name in names]
    classes = sorted({folder for folder in folders if folder is not None})
    labels = [-1 if folder is None else classes.index(folder) for folder in folders]
    images = stacked([read_image(file, file) for file in files], files)
    return Arrays(
        images, np.array(labels), np.array(classes), tuple(name.as_posix() for name in names)
    )


def stacked(images: list[np.ndarray], names: Sequence[object]) -> np.ndarray:
    """The images in one array; `InputError` where sizes or channels differ."""
    for name, image in zip(names, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(
                f"{name} has the shape {image.shape}, but {names[0]} has {images[0].shape} "
                "(channels, height, width). Resize or convert the images so that all agree."
            )
    return np.stack(images)


def _image_files(path: Path) -> list[Path]:
    """The images in `path` and its folders, also those behind links, but nothing hidden."""
    extensions = {
        ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS
    }
    files: list[Path] = []
    for folder, inner, names in os.walk(path, followlinks=True):
        here = Path(folder).resolve()
        is_loop = {name: here.is_relative_to(Path(folder, name).resolve()) for name in inner}
        inner[:] = [name for name in inner if not name.startswith(".") and not is_loop[name]]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.suffix.lower() in extensions and file.is_file())


def read_image(file: Path | BytesIO, name: object) -> np.ndarray:
    """uint8 [C, H, W] of an image file; `InputError` that says `name` where it cannot be read."""
    formats = [kind for kind in FORMATS if kind in Image.OPEN]  # a Pillow may be built without some
    try:
        with Image.open(file, formats=formats) as image:
            pixels = _pixels(image)
    except (*DAMAGED, SyntaxError, IndexError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(
            f"{name} cannot be read as an image: {error}. Remove it or replace it."
        ) from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 pixels [H, W] or [H, W, 3].

    Pillow's `convert` clips 16-bit and float images instead of scaling them.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    values = np.asarray(image)
    highest = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= highest):
        raise ValueError(
            f"its values, from {values.min()} to {values.max()}, do not lie in 0..{highest}"
        )
    return np.rint(values * (255 / highest)).astype(np.uint8)
