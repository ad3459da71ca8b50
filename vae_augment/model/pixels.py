"""Pure functions between images of users (PIL, uint8, floating, any leading dimensions) and those of a model.

Ranges are those of torchvision: floating images in [0, 1], uint8 images in 0..255.

On the CPU the arithmetic is NumPy's. torch's threads spin for a while after they have computed,
which keeps onnxruntime's threads from running: with two threads a batch of 1024 images took up to
three times as long.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor

from ..errors import InputError
from .facts import UINT8_SCALE

PIL_MODES = {1: "L", 3: "RGB"}
_WHITE = np.float32(255)
_TOLERANCE = 1e-3  # resizing and half precision may exceed the range by this much
_VANISHES = 16  # a drawing of which less than a sixteenth of the contrast is left cannot be seen
_GREY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def to_batch(image: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """[..., C, H, W], uint8 or floating in [0, 1] -> contiguous float32 [N, C, H, W] in [0, 1].

    Raises: InputError: wrong channels or size, integer types other than uint8, values outside [0,
        1], requires_grad.
    """
    _check_shape(tuple(image.shape), image_shape)
    if image.requires_grad:
        raise InputError(
            "The image requires grad, but gradients do not pass through onnxruntime. Call "
            ".detach() before VAEAugment."
        )
    if image.dtype is torch.uint8:
        batch = (
            torch.from_numpy(image.numpy() / _WHITE) if image.device.type == "cpu" else image / 255
        )
    elif image.is_floating_point():
        batch = image.to(torch.float32)
        _check_range(batch)
    else:
        raise InputError(
            f"The image has dtype {image.dtype}. Give uint8 in 0..255 or a floating type in [0, "
            "1]: v2.ToDtype(torch.uint8) or v2.ToDtype(torch.float32, scale=True)."
        )
    return batch.reshape(-1, *image_shape).contiguous()


def from_batch(batch: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] -> `dtype`, uint8 (0..255) or floating, rounded as by torchvision's `to_dtype(scale=True)`."""
    if dtype is not torch.uint8:
        return batch.to(dtype)
    if batch.device.type != "cpu":
        return batch.mul(UINT8_SCALE).to(torch.uint8)
    return torch.from_numpy((batch.numpy() * np.float32(UINT8_SCALE)).astype(np.uint8))


def from_pil(image: Image.Image, image_shape: tuple[int, int, int]) -> Tensor:
    """A PIL image of mode L (one channel) or RGB (three) -> uint8 [C, H, W].

    `InputError` for another mode.
    """
    mode = PIL_MODES.get(image_shape[0])
    if mode is None:
        raise InputError(
            f"The model has {image_shape[0]} channels, for which there is no PIL mode. Use tensors."
        )
    if image.mode != mode:
        raise InputError(
            f"The PIL image has mode {image.mode!r}, but the model takes {mode!r} "
            f"({image_shape[0]} channels). Convert it first: image.convert({mode!r})."
        )
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def to_pil(image: Tensor) -> Image.Image:
    """uint8 [C, H, W] -> a PIL image of mode L or RGB."""
    return Image.fromarray(
        image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).contiguous().numpy()
    )


def _check_shape(given: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    if len(given) < 2:
        raise InputError(
            f"A tensor of shape {given} reached VAEAugment as the image: most likely a label that "
            "comes before it. Put the image first, or wrap it: tv_tensors.Image(image)."
        )
    if given[-3:] != expected:
        raise InputError(
            f"The image has shape {given}, but the model takes [..., C, H, W] with (C, H, W) = "
            f"{expected}. Resize it with v2.Resize({expected[1:]}) or "
            f"v2.Grayscale({expected[0]}), or use a model of that shape."
        )


def _check_range(batch: Tensor) -> None:
    if not batch.numel():
        return
    values = batch.numpy() if batch.device.type == "cpu" else batch
    low = float(values.min())
    high = float(values.max())
    if not (
        low >= -_TOLERANCE and high <= 1 + _TOLERANCE
    ):  # written so that NaN, which fails any comparison, raises
        raise InputError(
            f"The floating image has values from {low:.4g} to {high:.4g}; they must lie in [0, "
            "1]. Place VAEAugment before v2.Normalize and after v2.ToDtype(torch.float32, "
            "scale=True)."
        )


def is_finite(result: Tensor) -> bool:
    """Whether all numbers are finite, without a copy as large as the result."""
    if result.device.type != "cpu":
        return bool(result.sum().isfinite())
    values = result.numpy()  # NaN is both the smallest and the largest number
    return all(
        math.isfinite(end.reduce(values, axis=None, initial=0)) for end in (np.minimum, np.maximum)
    )


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in decibels, over the pixels of all images."""
    return -10 * torch.log10((images - others).square().mean().clamp(min=1e-12)).item()


def opaque(image: Image.Image, background: str = "white") -> Image.Image:
    """Put a transparent PIL image on a background of one colour.

    >>> v2.Compose([v2.Lambda(opaque), v2.Grayscale(), VAEAugment("mnist")])

    Args:
        image: an image of any mode: with an alpha channel (RGBA, LA, PA), or with a transparent
            colour or palette (P, L, RGB, 1, I;16). One without transparency is returned as it is.
        background: a colour as PIL names them: "white", "black", "#20a0ff".

    Returns:
        An image of mode L where image and background are grey, else RGB; one of 16 bits keeps its
        mode.

    Raises:
        InputError: the background is no colour, or nothing of the drawing can be seen on it.
    """
    colour = _colour(background)
    if not image.has_transparency_data:
        return image
    if image.mode in _DEEP_MODES:
        return _opaque_deep(image, colour)
    is_grey = image.mode in _GREY_MODES and len(set(colour)) == 1
    bands = image.convert("LA") if image.mode == "La" else image
    layers = bands.convert("RGBA")
    result = _composited(layers, colour)
    if _is_lost(layers, result):
        raise InputError(_vanished(layers, background))
    return result.convert("L") if is_grey else result


def _colour(name: str) -> tuple[int, int, int]:
    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except (ValueError, AttributeError, TypeError):
        raise InputError(
            f"background is {name!r}, which is no colour. Give 'white', 'black' or '#rrggbb'."
        ) from None
    return red, green, blue


def _composited(layers: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    canvas = Image.new("RGBA", layers.size, (*colour, 255))
    return Image.alpha_composite(canvas, layers).convert("RGB")


def _opaque_deep(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """A 16-bit image with one transparent grey value, which PIL's own conversions cut to 8 bits."""
    values = np.array(image)
    is_clear = values == image.info["transparency"]
    grey = round(sum(colour) / 3) * 257  # 255 becomes 65535
    shown = np.where(is_clear, np.array(grey, values.dtype), values)
    result = Image.fromarray(shown)
    if _contrast(values) > _VANISHES * _contrast(shown):
        raise InputError(
            f"The drawing vanishes on a background of grey value {grey}, its own. Give another "
            "background, such as 'black'."
        )
    return result


def _contrast(values: NDArray[np.generic]) -> int:
    """The widest range of values within a channel of [H, W] or [H, W, channels]."""
    if not values.size:
        return 0
    spread = np.ptp(values.astype(np.int64), axis=(0, 1))
    return int(spread.max())


def _is_lost(layers: Image.Image, result: Image.Image) -> bool:
    return _contrast(np.array(layers)) > _VANISHES * _contrast(np.array(result))


def _vanished(layers: Image.Image, background: str) -> str:
    fact = f"The drawing vanishes on the background {background!r}"
    for other in ("white", "black", "grey"):
        if not _is_lost(layers, _composited(layers, _colour(other))):
            return f"{fact}: its own colour is like it. Give background={other!r}."
    return (
        f"{fact}, as on any other: all of it is transparent. If its alpha channel means nothing, "
        "drop it: image.convert('RGBA').convert('RGB')."
    )
