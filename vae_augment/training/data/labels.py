"""Labels as sources have them -> 0..K-1 with the names of the K classes that have images.

The same rules for every reader: -1, NaN, None and an empty text are unknown; whole numbers are
classes in their order, whatever type they are stored as; other texts are classes in the order of
the alphabet. A number or name without images is no class, because images would be generated for it.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.spec import MAX_CLASSES
from .column_names import listed
from .label_values import UNKNOWN, Place, one_per_image, whole_numbers
from .options import advice


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

    Raises:
        InputError: several labels per image, or a label that is no class; the message names the
            image.
    """

    def place(row: int) -> str:
        return f"{where}, {unit[0]} {row + unit[1]}"

    given = one_per_image(values, count, where, place)
    labels, known_names = whole_numbers(given, names, place)
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


def _from_zero(
    labels: NDArray[np.int64], names: Sequence[str], where: object, place: Place
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
        return
    is_renumbered = found != list(range(len(found)))
    missing = [] if names is None else [n for i, n in enumerate(names) if i not in set(found)]
    if not is_renumbered and not missing:
        return
    numbers = f"numbered 0 to {len(found) - 1}" if len(found) > 1 else "numbered 0"
    what = "the labels do not count up from 0 without gaps"
    if missing:
        what = f"no image has the class {listed(missing)}"
    kept = f"The classes are {listed(classes)}, {numbers}." if classes else "There are no classes."
    warnings.warn(f"{where}: {what}. {kept}", stacklevel=4)
