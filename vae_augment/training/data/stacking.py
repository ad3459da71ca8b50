"""Images of one source in one array, channels first."""

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from .options import ReadOptions
from .value_range import to_uint8

_CHANNELS = (1, 3)


def stacked(images: list[np.ndarray], names: Sequence[object], options: ReadOptions) -> np.ndarray:
    """Images [C, H, W] in one array; `InputError` where sizes or channels differ.

    Where some have 8 bits and some 16, each is scaled by itself.
    """
    for name, image in zip(names, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(
                f"{name} has the shape {image.shape}, but {names[0]} has {images[0].shape} "
                "(channels, height, width). Resize or convert the images so that all agree."
            )
    other = next((row for row, each in enumerate(images) if each.dtype != images[0].dtype), None)
    if other is None:
        return np.stack(images)
    if options.value_range is not None:
        raise InputError(
            f"{names[other]} holds values of type {images[other].dtype}, but {names[0]} of type "
            f"{images[0].dtype}, so one value_range cannot hold for both. Read them apart."
        )
    return np.stack(
        [to_uint8(image, None, name) for name, image in zip(names, images, strict=True)]
    )


def channels_first(images: np.ndarray, where: object) -> np.ndarray:
    """Images [N, H, W], [N, C, H, W] or [N, H, W, C] as [N, C, H, W], C being 1 or 3."""
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.ndim == 4 and images.shape[axis] in _CHANNELS for axis in (1, 3))
    if first and last and images.shape[1:] == (1, 1, 1):
        return images
    if first == last:
        raise InputError(f"{where}: images of shape {images.shape}; {_wanted(images)}")
    return images if first else images.transpose(0, 3, 1, 2)


def _wanted(images: np.ndarray) -> str:
    wanted = "give [N,H,W], [N,C,H,W] or [N,H,W,C] with 1 or 3 channels."
    if images.ndim == 4 and images.shape[1] in _CHANNELS:
        return (
            f"{wanted} Here either axis could be that of the channels: give grey images as "
            "[N,H,W], and colour images as image files."
        )
    if images.ndim == 2:
        return f"{wanted} Flat rows: images.reshape(-1, height, width)."
    return wanted
