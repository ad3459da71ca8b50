"""How a source is read: the keyword arguments of `load_data`, the same for every reader."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from PIL import ImageColor

from ...arguments import whole_number
from ...errors import InputError, suggestion

FRAMES = ("all", "first")
_PYTHON_ONLY = ("train", "limit")  # commands choose the first, and read no streams
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class ReadOptions:
    """How to read a source: `load_data` says what each means; `InputError` for a bad value."""

    train: bool = True
    split: str | None = None
    labels: bool = True
    label_column: str | int | None = None
    background: str = "white"
    value_range: tuple[float, float] | None = None
    frames: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.frames not in (None, *FRAMES):
            raise InputError(f"frames is {self.frames!r}; give 'all', 'first' or None.")
        if self.limit is not None:
            whole_number("limit", self.limit, 1)
        if self.value_range is not None:
            _check_range(self.value_range)
        try:
            ImageColor.getrgb(self.background)
        except (ValueError, AttributeError):
            raise InputError(
                f"background is {self.background!r}; give the name of a colour, such as 'white' or "
                "'black', or '#rrggbb'."
            ) from None


def advice(name: str, value: object) -> str:
    """An option as it is written in Python and on the command line.

    >>> print(advice("labels", False))
    labels=False (--read labels=no)
    """
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, tuple):
        text = ",".join(f"{each:g}" for each in value)
    else:
        text = str(value)
    has_space = " " in text
    return f"{name}={value!r} (--read {name}={repr(text) if has_space else text})"


def parsed_options(given: Sequence[str]) -> dict[str, Any]:
    """The keyword arguments of `load_data` from texts NAME=VALUE.

    >>> parsed_options(["labels=no", "value_range=0,4095"])
    {'labels': False, 'value_range': (0.0, 4095.0)}
    """
    return dict(_parsed(text) for text in given)


def _parsed(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    known = [field.name for field in fields(ReadOptions) if field.name not in _PYTHON_ONLY]
    if name not in known:
        raise InputError(
            f"--read {text} names no option; give NAME=VALUE with one of {', '.join(known)}."
            + suggestion(name, known)
        )
    try:
        return name, _value(name, value)
    except (ValueError, KeyError):
        forms = {"labels": "yes or no", "value_range": "LOWEST,HIGHEST"}
        raise InputError(f"--read {text}: {name} takes {forms[name]}.") from None


def _value(name: str, text: str) -> Any:
    if name == "labels":
        return _YES[text.lower()]
    if name == "value_range":
        low, high = text.split(",")
        return float(low), float(high)
    return text


def _check_range(value_range: tuple[float, float]) -> None:
    try:
        low, high = (float(end) for end in value_range)
    except (TypeError, ValueError):
        low = math.nan
        high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"value_range is {value_range!r}; give the values of black and white, as in (0, 255)."
        )
