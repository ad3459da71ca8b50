"""Labels as sources store them -> whole numbers [N], -1 = unknown."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .column_names import listed
from .options import advice

UNKNOWN = -1
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", re.I)  # but 007 is a name
_HIGHEST = 2**31
_BOOLEANS = ("False", "True")
_MISSING = ("", "nan", "-1")
_NO_NUMBERS = ("none", "null", "na", "n/a", "<na>", "?")  # beside numbers, they are none
Place = Callable[[int], str]  # the number of an image -> where it is, in words


def one_per_image(values: Any, count: int, where: object, place: Place) -> np.ndarray:
    """The labels of `count` images as an array [N]; a list of one counts as what it holds.

    Raises:
        InputError: several labels per image, or not one for each.
    """
    rows = values
    if not isinstance(values, np.ndarray):
        rows = [_only(label, row, place) for row, label in enumerate(values)]
        has_gaps = any(each is None for each in rows)
        rows = np.array(rows, object) if has_gaps else np.array(rows)
    if rows.ndim > 1 and rows.size == len(rows) == count:
        rows = rows.reshape(count)
    if rows.ndim == 2 and len(rows) == count:
        raise InputError(
            f"{where}: labels of shape {rows.shape}, several per image, but a class is one. To "
            "train without them, leave the labels out: "
            f"{advice('labels', False)}.{_way_of_one_hot(rows)}"
        )
    if rows.shape != (count,):
        raise InputError(
            f"{where}: labels of shape {rows.shape} do not go with {count} images; give one per "
            f"image, or leave the labels out: {advice('labels', False)}."
        )
    return rows


def _only(label: Any, row: int, place: Place) -> Any:
    """The one label in a list of one; `InputError` for several."""
    if not isinstance(label, list | tuple | np.ndarray):
        return label
    if np.size(label) == 1:
        return np.asarray(label).item()
    raise InputError(
        f"{place(row)} has {np.size(label)} labels, but a class is one. To train without them, "
        f"leave the labels out: {advice('labels', False)}."
    )


def _way_of_one_hot(rows: np.ndarray) -> str:
    is_one_hot = rows.dtype.kind in "biuf" and bool(
        np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all()
    )
    return " If they are one-hot, give labels.argmax(1)." if is_one_hot else ""


def whole_numbers(
    given: np.ndarray, names: Sequence[str] | None, place: Place
) -> tuple[NDArray[np.int64], Sequence[str] | None]:
    """Whole numbers [N], -1 = unknown, and the names of 0, 1, ..., where there are names."""
    if given.dtype.kind == "O":
        given = _of_one_type(given, place)
    if given.dtype.kind == "b":
        return given.astype(np.int64), names or _BOOLEANS
    if given.dtype.kind in "iuf":
        return _whole(given, place), names
    if given.dtype.kind == "S":
        given = np.char.decode(given, "utf-8", "replace")
    if given.dtype.kind == "U":
        return _of_texts(given, names, place)
    raise InputError(
        f"{place(0)}: a label of type {given.dtype}; give whole numbers or texts, or leave the "
        f"labels out: {advice('labels', False)}."
    )


def _of_one_type(given: np.ndarray, place: Place) -> np.ndarray:
    """Python's objects, of which some are None, as numbers or as texts."""
    kinds = {type(each) for each in given if each is not None}
    if kinds and all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return np.array(["" if each is None else str(each) for each in given])
    if all(issubclass(kind, int | float | np.number) for kind in kinds):
        return np.array([np.nan if each is None else each for each in given], float)
    if all(issubclass(kind, str | int | float | np.number) for kind in kinds):
        return np.array(["" if each is None else str(each) for each in given])
    raise InputError(
        f"{place(0)}: labels of type {listed(sorted(kind.__name__ for kind in kinds))}; give whole "
        f"numbers or texts, or leave the labels out: {advice('labels', False)}."
    )


def _whole(given: np.ndarray, place: Place) -> NDArray[np.int64]:
    is_missing = np.isnan(given) if given.dtype.kind == "f" else np.zeros(len(given), bool)
    with np.errstate(invalid="ignore"):
        is_wrong = ~is_missing & ((given != np.floor(given)) | (given < -1) | (given >= _HIGHEST))
    if is_wrong.any():
        row = int(is_wrong.argmax())
        raise InputError(
            f"{place(row)}: the label {given[row]} is not a whole number from 0 to {_HIGHEST:,}, "
            "or -1 = unknown. If it is no class, leave the labels out: "
            f"{advice('labels', False)}."
        )
    return np.where(is_missing, UNKNOWN, given).astype(np.int64)


def _of_texts(
    given: np.ndarray, names: Sequence[str] | None, place: Place
) -> tuple[NDArray[np.int64], Sequence[str] | None]:
    texts, position = np.unique(np.char.strip(given), return_inverse=True)
    position = position.reshape(-1)
    known = [text for text in texts.tolist() if text.lower() not in _MISSING]
    numbers = [text for text in known if text.lower() not in _NO_NUMBERS]
    are_numbers = bool(numbers) and all(_NUMBER.fullmatch(text) for text in numbers)
    if are_numbers and not set(known) <= set(names or ()):
        found = {text: float(text) for text in numbers}
        values = np.array([found.get(text, np.nan) for text in texts.tolist()])
        return _whole(values[position], place), names
    order = known if names is None else list(names)
    strange = [text for text in known if text not in order]
    if strange:
        row = int((given == strange[0]).argmax())
        raise InputError(
            f"{place(row)}: the label {strange[0]!r} is not among the {len(order)} classes. Name "
            "all of them, or leave the names out."
        )
    index = {text: number for number, text in enumerate(order)}
    numbered = np.array([index.get(text, UNKNOWN) for text in texts.tolist()], np.int64)
    return numbered[position], order
