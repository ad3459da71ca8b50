"""Image files: their pages, upright and opaque, as arrays of the values that they store."""

import struct
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import InputError
from .arrays import DAMAGED
from .options import ReadOptions, advice
from .transparency import on_background

FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "GIF",
    "TIFF",
    "WEBP",
    "PPM",
)  # Pillow knows others that start outside programs
_UNREADABLE = (
    *DAMAGED,
    SyntaxError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)
_SECOND_PICTURE = (
    "Of JPEG files that hold more than one picture, such as a preview, the first one is read."
)
_READ_AS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}


def read_pages(
    file: Path | BytesIO, name: object, options: ReadOptions, mode: str | None = None
) -> list[np.ndarray]:
    """The pages of an image file, each [C, H, W] with one or three channels.

    Grey images of 16 bits are uint16, of floating values float32, of one bit bool, others uint8.
    `mode` is one of Pillow's that the image is read as.

    Raises:
        InputError: the file cannot be read, has several pages without `options.frames`, or its
            drawing vanishes in the background; the message says `name`.
    """
    try:
        # From a path, Pillow would map the file and leave some TIFFs on their side.
        content = file if isinstance(file, BytesIO) else BytesIO(file.read_bytes())
        with _opened(content) as image:
            return [_pixels(page, name, options, mode) for page in _pages(image, name, options)]
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"{name} cannot be read as an image: its content is none. Remove it or replace it."
        ) from None
    except _UNREADABLE as error:
        raise InputError(
            f"{name} cannot be read as an image: {error}. Remove it or replace it."
        ) from None


def is_image(file: Path) -> bool:
    """Whether the content of a file is that of an image, whatever its name."""
    try:
        with _opened(file):
            return True
    except _UNREADABLE:
        return False


def _opened(file: Path | BytesIO) -> Image.Image:
    formats = [kind for kind in FORMATS if kind in Image.OPEN]  # a Pillow may be built without some
    return Image.open(file, formats=formats)


def _pages(image: Image.Image, name: object, options: ReadOptions) -> Iterator[Image.Image]:
    count = getattr(image, "n_frames", 1)
    if image.format == "MPO":  # a camera's JPEG
        warnings.warn(_SECOND_PICTURE, stacklevel=2)
        count = 1
    if count > 1 and options.frames is None:
        raise InputError(
            f"{name} has {count} pages or frames, but an image is one. Read each of them as an "
            f"image by {advice('frames', 'all')}, or only the first by {advice('frames', 'first')}."
        )
    for number in range(count if options.frames == "all" else 1):
        image.seek(number)
        yield image


def _pixels(image: Image.Image, name: object, options: ReadOptions, mode: str | None) -> np.ndarray:
    """[C, H, W]. Pillow's `convert` clips 16-bit and float images instead of scaling them."""
    image.load()  # which turns a TIFF upright
    shown = on_background(ImageOps.exif_transpose(image), name, options)
    if shown.mode.startswith("I") or shown.mode == "F":
        pixels = _numbers(shown)
        return pixels if mode is None else _with_channels(pixels, mode, name)
    if mode is not None:
        shown = shown.convert(_read_as(mode, name))
    if shown.mode == "1":
        return np.array(shown)[None]
    array = np.array(shown.convert("L" if shown.mode == "L" else "RGB"))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _numbers(image: Image.Image) -> np.ndarray:
    """The values [1, H, W] of a grey image of more than 8 bits, of 32 only where 16 are too few."""
    values = np.array(image)[None]
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    has_16_bits = values.size and values.min() >= 0 and values.max() <= 65535
    return values.astype(np.uint16 if has_16_bits else np.int32)


def _with_channels(pixels: np.ndarray, mode: str, name: object) -> np.ndarray:
    is_grey = mode.startswith("I") or mode == "F" or _read_as(mode, name) == "L"
    return pixels if is_grey else pixels.repeat(3, axis=0)


def _read_as(mode: str, name: object) -> str:
    if mode not in _READ_AS:
        raise InputError(
            f"{name} is declared to be of mode {mode!r}; images are read as L or RGB. Declare one: "
            "dataset.cast_column(COLUMN, datasets.Image(mode='RGB'))."
        )
    return _READ_AS[mode]
