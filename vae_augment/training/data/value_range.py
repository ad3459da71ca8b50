"""The values of pixels: from those of a source to 0..255."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .options import advice

_DARK = 65  # so a set is said to be dark whose values have 14 bits or fewer of 16
_TOPS = (255, 1023, 4095, 16383, 65535)  # the highest of 8, 10, 12, 14 and 16 bits
_FLAT = 8  # so many grey levels of 256 show next to nothing


def to_uint8(
    values: np.ndarray, value_range: tuple[float, float] | None, where: object
) -> NDArray[np.uint8]:
    """Values of any shape as uint8.

    The range is `value_range` if given, else that of the type: 0..255 of uint8, 0..65535 of uint16,
    False and True of bool, [0, 1] of floating types. `InputError` where values lie outside of it,
    and for other types, whose range is not known.
    """
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    if value_range is not None:
        return _scaled(values, value_range, where)
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint16:
        return _scaled(values, (0, 65535), where)
    if values.dtype.kind == "f" and _lie_in(values, 0, 1):
        return np.rint(np.ascontiguousarray(values, _at_least_float32(values)) * 255).astype(
            np.uint8
        )
    raise InputError(_unknown_range(values, where))


def warn_of_darkness(images: np.ndarray, stored: np.ndarray, where: object) -> None:
    """Warn where uint8 `images`, made of the `stored` values, are nearly black or constant."""
    found = darkness(images)
    if not found:
        return
    text = f"{where}: {found}"
    if stored.dtype != bool and 0 < images.max() < _DARK:
        ends = (min(0, -_outward(-stored.min())), _top(stored))
        text += (
            f" (at most {stored.max():g} of {stored.dtype} in the source). If that is the range, "
            f"say: {advice('value_range', ends)}"
        )
    warnings.warn(f"{text}.", stacklevel=3)


def darkness(images: np.ndarray) -> str | None:
    """What is wrong with the brightness of uint8 images, in words; None where nothing is."""
    if not images.size:
        return None
    low = int(images.min())
    high = int(images.max())
    mean = float(images.mean())
    if high < _DARK:
        return f"the brightest pixel is {high} of 255, so the images are dark or nearly black"
    if high - low < _FLAT:
        return f"all pixels lie in {low}..{high} of 0..255, so the images show next to nothing"
    if mean < 1:
        return f"the mean pixel is {mean:.2f} of 255, so the images are nearly black"
    if mean > 254:
        return f"the mean pixel is {mean:.2f} of 255, so the images are nearly white"
    return None


def _scaled(
    values: np.ndarray, value_range: tuple[float, float], where: object
) -> NDArray[np.uint8]:
    low, high = value_range
    if not _lie_in(values, low, high):
        raise InputError(
            f"{where}: values from {values.min():g} to {values.max():g} do not lie in the range "
            f"{low:g}..{high:g} that value_range names. Give the values of black and of white."
        )
    shifted = values.astype(_at_least_float32(values)) - low
    return np.rint(shifted * (255 / (high - low))).astype(np.uint8)


def _lie_in(values: np.ndarray, low: float, high: float) -> bool:
    """Whether all values do; NaN does not."""
    return not values.size or bool(values.min() >= low and values.max() <= high)


def _at_least_float32(values: np.ndarray) -> np.dtype:
    return np.result_type(values.dtype, np.float32)


def _unknown_range(values: np.ndarray, where: object) -> str:
    if values.dtype.kind not in "iuf":
        return f"{where}: images of type {values.dtype}; give uint8 in 0..255 or float in [0, 1]."
    found = f"{where}: images of type {values.dtype} with values from {values.min():g} to "
    found += f"{values.max():g}"
    if not math.isfinite(float(values.min()) + float(values.max())):
        return f"{found}; numbers that are not finite cannot be pixels. Replace them."
    known = "but floats lie in [0, 1]" if values.dtype.kind == "f" else "whose range is not known"
    way = advice("value_range", _likely_range(values))
    return f"{found}, {known}. Say which values are black and white, as by {way}."


def _likely_range(values: np.ndarray) -> tuple[float, float]:
    """The usual range that values of a type without a range of its own lie in."""
    low = float(values.min())
    high = float(values.max())
    if -1 <= low < 0 and high <= 1:
        return -1, 1
    if low < 0:
        return -_outward(-low), _outward(high)
    return 0, next((top for top in _TOPS if high <= top), _outward(high))


def _top(stored: np.ndarray) -> float:
    """The value that is white in dark images: the highest of their bits, or the highest found."""
    high = _outward(stored.max())
    if stored.dtype == np.uint8 or stored.dtype.kind == "f":
        return high
    return next((top for top in _TOPS if high <= top), high)


def _outward(value: float) -> float:
    """A number in at most five digits, rounded up where it has more; whole where it is."""
    if float(value).is_integer():
        return int(value)
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 3)
    return float(f"{math.ceil(value / step) * step:.5g}")
