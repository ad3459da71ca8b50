"""Transparent images, put on the background that was asked for."""

import re
import warnings

import numpy as np
from PIL import Image

from ...errors import InputError
from ...model.pixels import opaque
from .options import ReadOptions, advice

_BACKGROUND = re.compile(r"background='([^']+)'")


def on_background(image: Image.Image, name: object, options: ReadOptions) -> Image.Image:
    """A PIL image made opaque; `InputError` that says `name` where the drawing vanishes."""
    try:
        return opaque(image, options.background)
    except InputError as error:
        text = _BACKGROUND.sub(lambda found: advice("background", found[1]), str(error))
        raise InputError(f"{name}: {text}") from None


def arrays_on_background(images: np.ndarray, where: object, options: ReadOptions) -> np.ndarray:
    """Images [N, H, W, 4] or [N, 4, H, W] uint8 as [N, H, W, 3]; others as they are."""
    if images.ndim != 4 or images.dtype != np.uint8:
        return images
    layers = images.transpose(0, 2, 3, 1) if images.shape[1] == 4 else images
    if layers.shape[3] != 4:
        return images
    warnings.warn(
        f"{where}: images of shape {images.shape} are read as RGBA, on the background "
        f"{options.background!r}.",
        stacklevel=4,
    )
    shown = []
    for row, layer in enumerate(layers):
        image = Image.fromarray(np.ascontiguousarray(layer))
        shown.append(on_background(image, f"{where}, image {row}", options).convert("RGB"))
    return np.stack([np.array(image) for image in shown])
