"""What to do about an image that a model cannot take.

Each message names the way out between backticks, as a Python expression of the `image` or as a
transform. Tests follow every one of them to the letter.
"""

import math
from collections.abc import Iterable

import numpy as np

# Of PIL, with more than 8 bits: PIL's own conversions cut their values off at 255.
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
# Highest values of common formats: masks, 4, 8, 10, 12, 14, 15, 16, 31, 32 and 63 bits
_TOPS = (1, 16, 255, 1023, 4095, 16383, 32767, 65535, 2**31 - 1, 2**32 - 1, 2**63 - 1)
_SLACK = 0.25  # interpolation and added noise leave [0, 1] by less, normalisation by more
_CHANNELS = (1, 2, 3, 4)
_SCALED = "with scaled from vae_augment.transforms"
_OPAQUE = "with opaque from vae_augment.transforms"


def on_transparency(mode: str, wanted: str) -> str:
    """About a PIL image that is transparent in places."""
    return (
        f"The PIL image has mode {mode!r}, but the model takes {wanted!r}, which is nowhere "
        "transparent. Put it on a background first, such as white: `opaque(image, 'white')`, "
        f"{_OPAQUE}."
    )


def on_mode(mode: str, wanted: str) -> str:
    """About a PIL image of another mode than "L" or "RGB", whichever is wanted."""
    way = f"image.convert({wanted!r})"
    if mode == "LAB" and wanted != "RGB":  # PIL knows no direct way
        way = f"image.convert('RGB').convert({wanted!r})"
    return (
        f"The PIL image has mode {mode!r}, but the model takes {wanted!r}. Convert it first: "
        f"`{way}`."
    )


def on_type(name: str, low: float, high: float, limit: float = math.inf) -> str:
    """About an image whose type, with values up to `limit`, does not say which value is white."""
    if not _is_finite(low, high):
        return f"The image is of {name} and has values that are not finite. Leave it out."
    return (
        f"The image is of {name}, with values from {low:g} to {high:g}, and the type does not say "
        f"which value is white. {_scale(low, high, limit)}"
    )


def on_complex() -> str:
    """About an image of complex numbers."""
    return "The image has complex numbers. Give their magnitude: `image.abs()`."


def on_range(low: float, high: float) -> str:
    """About a floating image with values outside [0, 1], or with NaN."""
    if not _is_finite(low, high):
        return (
            "The floating image has values that are not finite (NaN or infinity); they must lie in "
            "[0, 1]. Find where they come from, or make them black: `image.nan_to_num(0, 0, 0)`."
        )
    fact = f"The floating image has values from {low:.4g} to {high:.4g}; they must lie in [0, 1]."
    if low >= -_SLACK and high <= 1 + _SLACK:
        return f"{fact} Cut off what resizing or noise has added: `image.clamp(0, 1)`."
    way = _scale(low, high)
    if low < 0:
        fact += " Place VAEAugment before v2.Normalize. Or, where nothing was normalised,"
        way = way[0].lower() + way[1:]
    return f"{fact} {way}"


def on_shape(given: tuple[int, ...], expected: tuple[int, int, int]) -> str:
    """About a tensor that is not [..., C, H, W] with (C, H, W) as expected."""
    fact = (
        f"The image has shape {given}, but the model takes [..., C, H, W] with (C, H, W) = "
        f"{expected}."
    )
    return f"{fact} {_reshape(given, expected)}"


def on_label(shape: tuple[int, ...]) -> str:
    """About a tensor of less than two dimensions, which cannot be an image."""
    return (
        f"A tensor of shape {shape} reached VAEAugment as the image: most likely a label that "
        "comes before it. Put the image first, or wrap it: `tv_tensors.Image(image)`."
    )


def on_no_image(where: str, items: Iterable[object]) -> str:
    """About inputs, or the entries of an item of a dataset, among which there is no image.

    A NumPy array may have been meant, whose axes lie in either order.
    """
    items = list(items)
    kinds = ", ".join(sorted({type(item).__name__ for item in items})) or "nothing"
    fact = f"{where}, only {kinds}."
    arrays = [item.shape for item in items if isinstance(item, np.ndarray) and item.ndim > 1]
    if not arrays:
        return f"{fact} Give PIL images or tensors [..., C, H, W]."
    shape = arrays[0]
    is_channels_first = len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)
    way = "torch.from_numpy(image)" if is_channels_first else "v2.ToImage()"
    return f"{fact} Make a tensor of the array of shape {shape} first: `{way}`."


def _reshape(given: tuple[int, ...], expected: tuple[int, int, int]) -> str:
    channels, height, width = expected
    if len(given) == 2:
        return "Add the axis of channels: `image.unsqueeze(-3)`."
    found = given[-3]
    if given[-2:] == expected[1:] and found not in _CHANNELS:  # a batch of images without it
        return "Add the axis of channels: `image.unsqueeze(-3)`."
    if given[-1] in _CHANNELS and found not in _CHANNELS:
        return "Put the axis of channels first: `image.movedim(-1, -3)`."
    if found != channels and found in (2, 4):
        return (
            "Its last channel is most likely alpha. Put it on a background, such as white: "
            f"`opaque(image, 'white')`, {_OPAQUE}."
        )
    if found != channels and {found, channels} == {1, 3}:
        return f"Put before it `v2.Grayscale({channels})`."
    if found != channels:
        return f"It has {found} channels: use a model of {found} channels."
    return f"Put before it `v2.Resize(({height}, {width}))`."


def _scale(low: float, high: float, limit: float = math.inf) -> str:
    if low < 0:
        is_symmetric = low >= -1 and high <= 1
        black, white = (-1, 1) if is_symmetric else _around(low, high)
        return (
            "State the values that stand for white and black, of all images rather than of this "
            f"one: `scaled(image, {white}, {black})`, {_SCALED}."
        )
    top = min(limit, next((top for top in _TOPS if high <= top), math.ceil(high)))
    return (
        f"State the value that stands for white, here most likely {top}: `scaled(image, {top})`, "
        f"{_SCALED}."
    )


def _around(low: float, high: float) -> tuple[int, int]:
    below = math.floor(low)
    return below, max(math.ceil(high), below + 1)


def _is_finite(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high)
