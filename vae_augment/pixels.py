"""Pure functions between what users hold (PIL, uint8, float, any leading dimensions) and what a model takes.

Ranges follow torchvision: floating images in [0, 1], uint8 images in 0..255.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import InputError, InputTypeError

PIL_MODES = {1: "L", 3: "RGB"}
_WHITE = torch.tensor(255.0, dtype=torch.float32)  # float32 also where the user's default dtype is another
_TOLERANCE = 1e-3  # what resizing and half precision may overshoot by


def to_batch(image: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """[..., C, H, W] uint8 or floating -> contiguous float32 [N, C, H, W] in [0, 1], detached from autograd.

    Raises:
        InputError: wrong channels or size, integer types other than uint8, values outside [0, 1], requires_grad.
    """
    _check_shape(tuple(image.shape), image_shape)
    if image.requires_grad:
        raise InputError(
            "The image requires grad, but gradients do not pass through onnxruntime. Call .detach() before VAEAugment."
        )
    if image.dtype is torch.uint8:
        batch = image / _WHITE
    elif image.is_floating_point():
        batch = image.to(torch.float32)
        _check_range(batch)
    else:
        raise InputError(
            f"The image has dtype {image.dtype}. Give uint8 in 0..255 or a floating type in [0, 1]: "
            "v2.ToDtype(torch.uint8) or v2.ToDtype(torch.float32, scale=True)."
        )
    return batch.reshape(-1, *image_shape).contiguous()


def from_batch(batch: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] -> `dtype`, with the rounding of torchvision's `to_dtype(scale=True)`."""
    if dtype is torch.uint8:
        return batch.mul(255.999).to(torch.uint8)
    return batch.to(dtype)


def from_pil(image: Image.Image, image_shape: tuple[int, int, int]) -> Tensor:
    """A PIL image of mode L (one channel) or RGB (three) -> uint8 [C, H, W]."""
    mode = PIL_MODES.get(image_shape[0])
    if mode is None:
        raise InputTypeError(f"The model has {image_shape[0]} channels, for which there is no PIL mode. Use tensors.")
    if image.mode != mode:
        raise InputError(
            f"The PIL image has mode {image.mode!r}, but the model takes {mode!r} ({image_shape[0]} channels). "
            f"Convert it first: image.convert({mode!r})."
        )
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def to_pil(image: Tensor) -> Image.Image:
    """uint8 [C, H, W] -> a PIL image of mode L or RGB."""
    return Image.fromarray(image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).contiguous().numpy())


def _check_shape(given: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    if len(given) < 2:
        raise InputError(
            f"A tensor of shape {given} reached VAEAugment as the image: most likely a label that comes before it. "
            "Put the image first, or wrap it: tv_tensors.Image(image)."
        )
    if given[-3:] != expected:
        raise InputError(
            f"The image has shape {given}, but the model takes [..., C, H, W] with (C, H, W) = {expected}. "
            f"Resize it with v2.Resize({expected[1:]}) or v2.Grayscale({expected[0]}), or use a model of that shape."
        )


def _check_range(batch: Tensor) -> None:
    if not batch.numel():
        return
    low, high = (value.item() for value in batch.aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # not the other way round: NaN fails every comparison
        raise InputError(
            f"The floating image has values from {low:.4g} to {high:.4g}; they must lie in [0, 1]. Place VAEAugment "
            "before v2.Normalize and after v2.ToDtype(torch.float32, scale=True)."
        )
