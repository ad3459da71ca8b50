"""Transparent images, put on a background of one colour."""

from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor

from ..errors import InputError

# A drawing of which a sixteenth of the contrast is left, or less, is not seen.
_LOST = 16
_GREY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_OTHERS = ("white", "black", "grey")
# How to do without an alpha channel that means nothing
_DROP_OF_PIL = "image.convert('RGBA').convert('RGB')"
_DROP_OF_TENSORS = "image[..., :-1, :, :]"
_ALPHA_CHANNELS = (2, 4)  # grey and alpha; red, green, blue and alpha

Layers = NDArray[np.float64]  # [..., C, H, W] in [0, 1], the last channel is alpha


@overload
def opaque(image: Image.Image, background: str = "white") -> Image.Image: ...
@overload
def opaque(image: Tensor, background: str = "white") -> Tensor: ...
def opaque(image: Image.Image | Tensor, background: str = "white") -> Image.Image | Tensor:
    """Put a transparent image on a background of one colour.

    >>> v2.Compose([v2.Lambda(opaque), v2.Grayscale(), VAEAugment("mnist")])

    Args:
        image: a PIL image with an alpha channel (RGBA, LA, PA) or a transparent colour (P, L, RGB,
            1, I;16), or a tensor [..., 2 or 4, H, W], uint8 or floating in [0, 1], whose last
            channel is alpha. One without transparency is returned as it is.
        background: a colour as PIL names them: "white", "black", "#20a0ff".

    Returns:
        A PIL image of mode L where image and background are grey, else RGB, where one of 16 bits
        keeps its mode; or a tensor of the same type with one or three channels.

    Raises:
        InputError: the background is no colour, or nothing of the drawing can be seen on it.
    """
    colour = _colour(background)
    if isinstance(image, Tensor):
        return _opaque_tensor(image, background) if _has_alpha(image) else image
    if not image.has_transparency_data:
        return image
    if image.mode in _DEEP_MODES:
        return _opaque_deep(image, colour, background)
    layers = np.array(_rgba(image)).transpose(2, 0, 1) / 255
    shown = (_shown(layers, background, _DROP_OF_PIL) * 255).round().astype(np.uint8)
    result = Image.fromarray(shown.transpose(1, 2, 0))
    is_grey = image.mode in _GREY_MODES and len(set(colour)) == 1
    return result.convert("L") if is_grey else result


def _has_alpha(image: Tensor) -> bool:
    return image.ndim >= 3 and image.shape[-3] in _ALPHA_CHANNELS


def _colour(name: str) -> tuple[int, int, int]:
    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except (ValueError, AttributeError, TypeError):
        raise InputError(
            f"background is {name!r}, which is no colour. Give 'white', 'black' or '#rrggbb'."
        ) from None
    return red, green, blue


def _rgba(image: Image.Image) -> Image.Image:
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _opaque_tensor(image: Tensor, background: str) -> Tensor:
    is_bytes = image.dtype is torch.uint8
    layers = image.detach().to(torch.float64).cpu().numpy() / (255 if is_bytes else 1)
    shown = torch.from_numpy(_shown(layers, background, _DROP_OF_TENSORS)).to(image.device)
    return (shown * 255).round().to(torch.uint8) if is_bytes else shown.to(image.dtype)


def _opaque_deep(image: Image.Image, colour: tuple[int, int, int], background: str) -> Image.Image:
    """A 16-bit image with one transparent grey value, which PIL's own conversions cut to 8 bits."""
    values = np.array(image)
    alpha = values != image.info["transparency"]
    _shown(np.stack([values / 65535, alpha]), background, _DROP_OF_PIL)
    grey = round(sum(colour) / 3) * 257  # 255 becomes 65535
    return Image.fromarray(np.where(alpha, values, np.array(grey, values.dtype)))


def _shown(layers: Layers, background: str, drop: str) -> Layers:
    """The layers on the background, [..., C - 1, H, W]; `InputError` where the drawing is lost."""
    shown = _composited(layers, background)
    if _is_lost(layers, shown):
        raise InputError(_lost(layers, background, drop))
    return shown


def _composited(layers: Layers, background: str) -> Layers:
    colours = layers[..., :-1, :, :]
    alpha = layers[..., -1:, :, :]
    canvas = np.array(_colour(background))[:, None, None] / 255
    if colours.shape[-3] == 1:
        canvas = canvas.mean(axis=0, keepdims=True)
    return canvas + (colours - canvas) * alpha


def _is_lost(layers: Layers, shown: Layers) -> bool:
    """Whether nothing is to be seen of the drawing in one of the images."""
    if not layers.size:
        return False
    return bool((_contrast(layers) > _LOST * _contrast(shown)).any())


def _contrast(images: Layers) -> NDArray[np.float64]:
    """The widest range of values within a channel of each image, [...]."""
    return np.ptp(images, axis=(-2, -1)).max(axis=-1)


def _lost(layers: Layers, background: str, drop: str) -> str:
    fact = f"The drawing vanishes on the background {background!r}"
    for other in _OTHERS:
        if not _is_lost(layers, _composited(layers, other)):
            return (
                f"{fact}, as its own colour is like it. Give background={other!r}: "
                f"`opaque(image, background={other!r})`."
            )
    return (
        f"{fact}, as on any other: all of it is transparent. If its alpha channel means nothing, "
        f"drop it: `{drop}`."
    )
