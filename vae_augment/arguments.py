"""Checks of arguments that several rooms share: numbers, seeds and epochs."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

UNKNOWN = -1  # the class index of an image whose class is not known
_LARGEST = 2**53  # up to which floats hold every whole number


def whole_number(
    name: str, value: object, least: int | None = None, bits: int | None = None
) -> int:
    """`value` as Python's int.

    `InputError` unless it is an integer of any type but bool in least..2**bits - 1.
    """
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    try:
        found = operator.index(None if is_bool else value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} is {value!r}; it must be an integer.") from None
    if least is not None and not least <= found < (math.inf if bits is None else 2**bits):
        words = f"be at least {least}" if bits is None else f"lie in {least}..2**{bits} - 1"
        raise InputError(f"{name} is {found}; it must {words}.")
    return found


def number(name: str, value: object) -> float:
    """`value` as Python's float; `InputError` unless it is a number of whatever type."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"{name} is {value!r}; it must be a number.") from None


def check_seed(seed: int) -> int:
    """`seed` as Python's int; `InputError` when it does not fit into the generator's key."""
    return whole_number("seed", seed, 0, 64)


def check_epoch(epoch: int) -> int:
    """`epoch` as Python's int.

    `InputError` when it does not fit into the counter's last word, next to the stream.
    """
    return whole_number("epoch", epoch, 0, 29)


def one_per_image(labels: object) -> NDArray[Any]:
    """Labels in any of the forms that datasets give, as one per image, [N].

    Numbers come as int64, with -1 for a missing one (None or NaN); names come as an object array
    of str.

    Args:
        labels: a number or name, or a list, array or tensor [N] or [N, 1] of them; floats must be
            whole.

    Raises:
        InputError: several numbers per image, numbers that are not whole, or no numbers and names.
    """
    found = _as_array(labels)
    while found.ndim > 1 and found.shape[-1] == 1:
        found = found[..., 0]
    if found.ndim > 1:
        raise InputError(
            f"The labels have the shape {found.shape}: several numbers per image. Give one class "
            "index per image: to VAEAugment by a labels_getter function that returns numbers, "
            "elsewhere by choosing one, such as `labels.argmax(1)` of labels that are one-hot."
        )
    found = found.reshape(-1)
    if found.dtype.kind == "O":
        return _from_objects(found)
    return found.astype(object) if found.dtype.kind == "U" else _whole(found)


def _as_array(labels: object) -> NDArray[Any]:
    if isinstance(labels, list | tuple):
        labels = [_as_array(label) if hasattr(label, "shape") else label for label in labels]
        if any(isinstance(label, str) for label in labels):
            labels = np.array(labels, object)  # as text, a number among names would be one too
    try:
        found = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The labels {str(labels)[:100]} are not one number per image: {error}."
        ) from None
    return np.char.decode(found) if found.dtype.kind == "S" else found


def _from_objects(found: NDArray[Any]) -> NDArray[Any]:
    """Of Python's own numbers or names, some of which may be None."""
    is_missing = np.array([label is None for label in found], bool)
    is_name = np.array([isinstance(label, str) for label in found], bool)
    if not is_name.any():
        indices = np.full(len(found), UNKNOWN, np.int64)
        indices[~is_missing] = _whole(np.asarray(found[~is_missing].tolist()))
        return indices
    if not (is_name | is_missing).all():
        raise InputError(f"The labels {str(found.tolist())[:100]} mix names and numbers.")
    names = found.copy()
    names[is_missing] = UNKNOWN
    return names


def _whole(found: NDArray[Any]) -> NDArray[np.int64]:
    if found.dtype.kind == "f":
        found = np.where(np.isnan(found), UNKNOWN, found)
        is_odd = (found != np.trunc(found)) | (np.abs(found) > _LARGEST)
    elif found.dtype.kind in "iub":
        is_odd = found > _LARGEST
    else:
        raise InputError(
            f"The labels are of type {found.dtype}. Give class indices, 0, 1, 2, ..., or names."
        )
    if is_odd.any():
        odd = found[is_odd.argmax()]
        raise InputError(f"The label {odd} is no class index. Give 0, 1, 2, ..., or -1 = unknown.")
    return found.astype(np.int64)
