"""Pure functions between images of users (PIL, uint8, floating) and those of a model.

Ranges are those of torchvision: floating images in [0, 1], uint8 images in 0..255.

On the CPU the arithmetic is NumPy's. torch's threads spin for a while after they have computed,
which keeps onnxruntime's threads from running: with two threads a batch of 1024 images took up to
three times as long.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import InputError
from . import advice
from .facts import UINT8_SCALE
from .transparency import opaque as opaque

PIL_MODES = {1: "L", 3: "RGB"}
_WHITE = np.float32(255)
_TOLERANCE = 1e-3  # resizing and half precision may exceed the range by this much


def to_batch(image: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """[..., C, H, W], uint8 or floating in [0, 1] -> contiguous float32 [N, C, H, W] in [0, 1].

    Raises:
        InputError: wrong channels or size, integer types other than uint8, values outside [0, 1],
            requires_grad.
    """
    is_bytes = image.dtype is torch.uint8
    if not is_bytes:
        _check_type(image)
    if image.shape[-3:] != image_shape:
        _check_type(image)
        raise InputError(advice.on_shape(tuple(image.shape), image_shape))
    if is_bytes and image.is_cpu:
        unit = np.divide(image.numpy(), _WHITE, order="C")
        return torch.from_numpy(unit.reshape(-1, *image_shape))
    batch = image / 255 if is_bytes else _checked_floats(image)
    return batch.reshape(-1, *image_shape).contiguous()


def from_batch(batch: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] -> `dtype`, uint8 (0..255) or floating.

    Rounded as by torchvision's `to_dtype(scale=True)`.
    """
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
            f"The model has {image_shape[0]} channels, for which there is no PIL mode. Put "
            "`v2.ToImage()` before it, which makes tensors of PIL images."
        )
    if image.has_transparency_data:
        raise InputError(advice.on_transparency(image.mode, mode))
    if image.mode in advice.DEEP_MODES:
        values = np.asarray(image)
        low = float(values.min(initial=0))
        high = float(values.max(initial=0))
        raise InputError(advice.on_type(f"PIL's mode {image.mode!r}", low, high))
    if image.mode != mode:
        raise InputError(advice.on_mode(image.mode, mode))
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def to_pil(image: Tensor) -> Image.Image:
    """uint8 [C, H, W] -> a PIL image of mode L or RGB."""
    pixels = image[0] if image.shape[0] == 1 else image.permute(1, 2, 0).contiguous()
    return Image.fromarray(pixels.numpy())


def scaled(
    image: Image.Image | Tensor | NDArray[Any], highest: float, lowest: float = 0
) -> Image.Image | Tensor:
    """Bring the values `lowest`..`highest` of an image to the range that models take.

    >>> to_range = v2.Lambda(lambda image: scaled(image, 4095))
    >>> v2.Compose([to_range, VAEAugment("mnist")])

    Args:
        image: a PIL image of one channel, of 16 bits or floating, or a tensor or array of any type.
        highest: the value that stands for white: 65535 for 16 bits, 4095 for 12 bits, 255, 1, ...
        lowest: the value that stands for black.

    Returns:
        A PIL image of mode L for a PIL image, else a float32 tensor in [0, 1].

    Raises:
        InputError: values outside `lowest`..`highest`, or `highest` not above `lowest`.
    """
    if not lowest < highest:
        raise InputError(f"highest is {highest}; it must be above lowest, which is {lowest}.")
    if isinstance(image, Image.Image):
        unit = _scaled(torch.from_numpy(np.array(image, np.float64)), highest, lowest)
        return Image.fromarray((unit * 255).round().to(torch.uint8).numpy())
    values = torch.as_tensor(image).to(torch.float64)
    return _scaled(values, highest, lowest).to(torch.float32)


def _scaled(values: Tensor, highest: float, lowest: float) -> Tensor:
    low, high = _ends(values)
    if values.numel() and not lowest <= low <= high <= highest:
        raise InputError(
            f"The image has values from {low:g} to {high:g}, outside {lowest:g}..{highest:g}. "
            "Give scaled the lowest and highest value that the images may have."
        )
    return (values - lowest) / (highest - lowest)


def _checked_floats(image: Tensor) -> Tensor:
    """As float32; `InputError` unless it lies in [0, 1] and needs no gradient."""
    if image.requires_grad:
        raise InputError(
            "The image requires grad, but gradients do not pass through onnxruntime. Detach it "
            "before VAEAugment: `image.detach()`."
        )
    batch = image.to(torch.float32)
    _check_range(batch)
    return batch


def _check_type(image: Tensor) -> None:
    if image.ndim < 2:
        raise InputError(advice.on_label(tuple(image.shape)))
    if image.is_complex():
        raise InputError(advice.on_complex())
    if image.dtype is not torch.uint8 and not image.is_floating_point():
        limit = 1 if image.dtype is torch.bool else torch.iinfo(image.dtype).max
        raise InputError(advice.on_type(str(image.dtype), *_ends(image), limit))


def _check_range(batch: Tensor) -> None:
    if not batch.numel():
        return
    low, high = _ends(batch)
    # Written so that NaN, which fails any comparison, raises
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise InputError(advice.on_range(low, high))


def _ends(image: Tensor) -> tuple[float, float]:
    """The lowest and the highest value, on the CPU by NumPy, which has them of every type."""
    if not image.numel():
        return 0.0, 0.0
    values = image.numpy() if image.device.type == "cpu" else image.to(torch.float64)
    return float(values.min()), float(values.max())


def is_finite(result: Tensor) -> bool:
    """Whether all numbers are finite."""
    if result.is_cpu:
        return bool(np.isfinite(result.numpy()).all())
    return bool(result.sum().isfinite())


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in decibels, over the pixels of all."""
    return -10 * torch.log10((images - others).square().mean().clamp(min=1e-12)).item()
