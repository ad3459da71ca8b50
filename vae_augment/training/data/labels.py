"""Labels as sources have them -> 0..K-1 with the names of the K classes that have images.

The same rules for every reader: -1, NaN, None and an empty text are unknown; whole numbers are
classes in their order, whatever type they are stored as; other texts are classes in the order of
the alphabet. A number or name without images is no class, because images would be generated for it.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.spec import MAX_CLASSES
from .column_names import listed
from .options import advice

UNKNOWN = -1
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", re.I)  # 007 is a name
_HIGHEST = 2**31
_BOOLEANS = ("False", "True")
_MISSING = ("", "nan", "-1")
_MISSING_NUMBERS = ("none", "null", "na", "n/a", "<na>", "?")  # beside numbers, these are no names


class Numbered(NamedTuple):
    """Labels [N] int64, -1 = unknown, and the names of the classes."""

    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def number_labels(
    values: Any, names: Sequence[str] | None, count: int, where: object, unit: tuple[str, int]
) -> Numbered:
    """The labels of `count` images.

    `names` are those of the values 0, 1, ...; without them a value is its own name. Warns where
    classes are left out or numbered anew. `unit` is as in `Arrays`.

    Raises: InputError: several labels per image, or a label that is no class; the message names
        the image.
    """

    def place(row: int) -> str:
        return f"{where}, {unit[0]} {row + unit[1]}"

    given = _one_per_image(values, count, where)
    labels, known_names = _numbers(given, names, place)
    if known_names is not None:
        labels = _from_zero(labels, known_names, where, place)
    found = [int(label) for label in np.unique(labels) if label != UNKNOWN]
    if len(found) > MAX_CLASSES:
        raise InputError(
            f"{where}: {len(found):,} different labels, of which a model may have {MAX_CLASSES:,}. "
            f"If they are no classes, leave the labels out: {advice('labels', False)}."
        )
    classes = tuple(str(label if known_names is None else known_names[label]) for label in found)
    _warn(labels, found, classes, names, where)
    numbered = np.where(labels == UNKNOWN, UNKNOWN, np.searchsorted(found, labels))
    return Numbered(numbered.astype(np.int64), classes)


def _one_per_image(values: Any, count: int, where: object) -> np.ndarray:
    """The labels as an array [N]; rows and arrays of one number count as that number."""
    rows = values
    if not isinstance(values, np.ndarray):
        rows = [_only(each, where) for each in values]
        has_gaps = any(each is None for each in rows)
        rows = np.array(rows, object) if has_gaps else np.array(rows)
    if rows.ndim > 1 and rows.size == len(rows) == count:
        rows = rows.reshape(count)
    if rows.ndim == 2 and len(rows) == count:
        raise InputError(_several(rows, where))
    if rows.shape != (count,):
        raise InputError(
            f"{where}: labels of shape {rows.shape} do not go with {count} images; give one per "
            f"image, or leave the labels out: {advice('labels', False)}."
        )
    return rows


def _only(label: Any, where: object) -> Any:
    """The one label in a list of one; `InputError` for several."""
    if not isinstance(label, list | tuple | np.ndarray):
        return label
    if np.size(label) == 1:
        return np.asarray(label).item()
    raise InputError(_several(np.asarray(label)[None], where))


def _several(rows: np.ndarray, where: object) -> str:
    way = f"To train without them, leave the labels out: {advice('labels', False)}."
    found = f"{where}: labels of shape {rows.shape}, several per image, but a class is one. {way}"
    is_one_hot = rows.dtype.kind in "biuf" and bool(
        np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all()
    )
    return f"{found} If they are one-hot, give labels.argmax(1)." if is_one_hot else found


def _numbers(
    given: np.ndarray, names: Sequence[str] | None, place: Callable[[int], str]
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


def _of_one_type(given: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
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


def _whole(given: np.ndarray, place: Callable[[int], str]) -> NDArray[np.int64]:
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
    given: np.ndarray, names: Sequence[str] | None, place: Callable[[int], str]
) -> tuple[NDArray[np.int64], Sequence[str] | None]:
    texts, position = np.unique(np.char.strip(given), return_inverse=True)
    position = position.reshape(-1)
    known = [text for text in texts.tolist() if text.lower() not in _MISSING]
    numbers = [text for text in known if text.lower() not in _MISSING_NUMBERS]
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


def _from_zero(
    labels: NDArray[np.int64], names: Sequence[str], where: object, place: Callable[[int], str]
) -> NDArray[np.int64]:
    """Labels as indices of `names`: those from 1 to the number of names count from 1."""
    known = labels[labels != UNKNOWN]
    if not known.size or known.max() < len(names):
        return labels
    if known.max() == len(names) and known.min() >= 1:
        warnings.warn(
            f"{where}: labels up to {len(names)} for as many names of classes; they are taken to "
            f"count from 1, so that 1 is {str(names[0])!r}.",
            stacklevel=4,
        )
        return np.where(labels == UNKNOWN, UNKNOWN, labels - 1)
    row = int(labels.argmax())
    raise InputError(
        f"{place(row)}: the label {labels[row]} has no name among the {len(names)} classes. Name "
        "all of them, or leave the names out."
    )


def _warn(
    labels: NDArray[np.int64],
    found: list[int],
    classes: tuple[str, ...],
    names: Sequence[str] | None,
    where: object,
) -> None:
    if found == [1] and names is None and (labels == UNKNOWN).any():
        warnings.warn(
            f"{where}: all labels are -1 or 1, and -1 means unknown. If it is a class, give 0 and "
            "1.",
            stacklevel=4,
        )
    is_renumbered = found != list(range(len(found)))
    missing = [] if names is None else [n for i, n in enumerate(names) if i not in set(found)]
    if not is_renumbered and not missing:
        return
    numbers = f"numbered 0 to {len(found) - 1}" if len(found) > 1 else "numbered 0"
    what = f"no image has the class {listed(missing)}" if missing else "labels do not run from 0"
    kept = f"The classes are {listed(classes)}, {numbers}." if classes else "There are no classes."
    warnings.warn(f"{where}: {what}. {kept}", stacklevel=4)
