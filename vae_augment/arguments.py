"""Checks of arguments that several rooms share: numbers, seeds and epochs."""

import math
import operator

from .errors import InputError


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
