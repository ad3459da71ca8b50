"""Which columns of a table are the pixels, in which order, and which one the label.

The header decides. Without one, only a table is read that can be read in one way.
"""

import math
import re
import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from .column_names import is_id, is_label, listed, plain
from .options import ReadOptions, advice
from .sheet import Sheet

_NUMBER = re.compile(r"\d+")


class Columns(NamedTuple):
    """The columns of the pixels, row by row, the image's height and width, the label."""

    pixels: list[int]
    shape: tuple[int, int]
    label: int | None


def find_columns(sheet: Sheet, options: ReadOptions) -> Columns:
    """The columns that hold what; `InputError` with the first cells where that is not clear."""
    stated = None if options.label_column is None else _stated(sheet, options.label_column)
    header = sheet.header
    left = [column for column in range(sheet.width) if column != stated]
    pixels = _numbered(header, left) if header else []
    if header and pixels and _shape(header, pixels) is not None:
        columns = _by_header(sheet, header, pixels, stated, options)
    else:
        if header and not _names_say_nothing(header):
            raise _unclear(sheet, _why(header, pixels))
        ids = [column for column in left if header and is_id(header[column])]
        columns = _by_content(sheet, [column for column in left if column not in ids], stated)
    return columns if options.labels else columns._replace(label=None)


def _stated(sheet: Sheet, wanted: str | int) -> int:
    """The column that `label_column` names or counts, from 0, or from -1 at the end."""
    names = [plain(name) for name in sheet.header or []]
    if isinstance(wanted, str) and plain(wanted) in names:
        return names.index(plain(wanted))
    try:
        return range(sheet.width)[int(wanted)]
    except (ValueError, IndexError):
        raise _unclear(
            sheet, f"there is no column {wanted!r}; give a name of the header or a number from 0"
        ) from None


def _numbered(header: list[str], columns: list[int]) -> list[int]:
    """The columns whose names differ in their numbers alone, such as pixel0, pixel1, ...

    Of several such groups the largest, in the order of the numbers.
    """
    forms = {column: _NUMBER.sub("#", plain(header[column])) for column in columns}
    counts = Counter(form for column, form in forms.items() if _is_pixel_name(header[column]))
    if not counts:
        return []
    form = counts.most_common(1)[0][0]
    found = [column for column in columns if forms[column] == form]
    positions = {column: _position(header[column]) for column in found}
    return sorted(found, key=lambda column: positions[column])


def _is_pixel_name(name: str) -> bool:
    is_fraction = re.fullmatch(r"\d+\.\d+", name) is not None  # pandas' name of a repeated number
    return _NUMBER.search(name) is not None and not is_fraction and not is_id(name)


def _position(name: str) -> tuple[int, ...]:
    """The numbers in a name; of x0y1 the y first, because rows come first."""
    numbers = tuple(int(number) for number in _NUMBER.findall(name))
    return numbers[::-1] if re.match(r"\D*x\D?\d+\D*y", plain(name)) else numbers


def _shape(header: list[str], pixels: list[int]) -> tuple[int, int] | None:
    """Height and width of the image whose pixels are named so; None where the names are not so."""
    positions = [_position(header[column]) for column in pixels]
    if len(positions[0]) == 1:
        side = math.isqrt(len(pixels))
        first = positions[0][0]
        is_whole = positions == [(first + index,) for index in range(side**2)] and first in (0, 1)
        return (side, side) if is_whole else None
    rows, columns = (sorted({position[axis] for position in positions}) for axis in (0, 1))
    is_whole = positions == [(row, column) for row in rows for column in columns]
    return (len(rows), len(columns)) if is_whole and len(positions[0]) == 2 else None


def _names_say_nothing(header: list[str]) -> bool:
    """Whether the names only count the columns, as those do that pandas and R make up."""
    named = [column for column in range(len(header)) if not is_id(header[column])]
    found = _numbered(header, named)
    numbers = [_position(header[column]) for column in found]
    first = numbers[0][0] if numbers else 0
    is_whole = numbers == [(first + index,) for index in range(len(named))]
    return found == named and is_whole and first in (0, 1)


def _why(header: list[str], pixels: list[int]) -> str:
    """Why the header does not tell the pixels."""
    if not pixels:
        return "the header names no pixels; name them pixel0, pixel1, ..."
    if 3 * math.isqrt(len(pixels) // 3) ** 2 == len(pixels):
        return (
            f"{len(pixels)} columns are the pixels of colour images, in an order that a table does "
            "not tell; save them by numpy.savez(PATH, images=..., labels=...) as [N,H,W,3]"
        )
    return (
        f"{len(pixels)} columns are named like {header[pixels[0]]!r}, which are not all the pixels "
        "of a square image"
    )


def _by_header(
    sheet: Sheet, header: list[str], pixels: list[int], stated: int | None, options: ReadOptions
) -> Columns:
    shape = _shape(header, pixels)
    assert shape is not None
    others = [c for c in range(len(header)) if c not in set(pixels) and not is_id(header[c])]
    labels = [column for column in others if is_label(header[column])]
    if stated is not None:
        labels = [stated]
    if len(labels) > 1:
        raise _unclear(
            sheet, f"{listed(header[c] for c in labels)} could each be the label", labels[0]
        )
    if others and not labels and options.labels:
        names = listed(repr(header[column]) for column in others)
        raise _unclear(sheet, f"whether {names} is the label is not clear", others[0])
    left = [header[column] for column in others if column not in labels]
    if left and options.labels and stated is None:
        warnings.warn(f"{sheet.path}: the columns {listed(left)} are not read.", stacklevel=5)
    return Columns(pixels, shape, labels[0] if labels else None)


def _by_content(sheet: Sheet, columns: list[int], stated: int | None) -> Columns:
    """Without names: a label of its own kind, or the pixels of a square image alone."""
    if stated is None and _side(len(columns)) is None and _side(len(columns) - 1) is not None:
        stated = _label_at_an_end(sheet, columns)
        columns = [column for column in columns if column != stated]
    side = _side(len(columns))
    if side is None:
        why = f"{len(columns)} columns are not the pixels of a square image"
        raise _unclear(sheet, f"{why}; name them in the first line: label, pixel0, pixel1, ...")
    return Columns(columns, (side, side), stated)


def _side(count: int) -> int | None:
    side = math.isqrt(max(0, count))
    return side if side and side**2 == count else None


def _label_at_an_end(sheet: Sheet, columns: list[int]) -> int:
    """The first or the last column, whichever alone looks like labels."""
    ends = (columns[0], columns[-1])
    found = [column for column in ends if _looks_like_labels(sheet.texts(column))]
    if len(found) != 1:
        what = "the first and the last column could each" if found else "no column at an end can"
        raise _unclear(sheet, f"{what} be the label", columns[0])
    return found[0]


def _looks_like_labels(texts: np.ndarray) -> bool:
    """Whether few texts or whole numbers come over and over, without large gaps."""
    try:
        numbers = texts.astype(float)
    except ValueError:  # texts
        return len(set(texts.tolist())) < len(texts)
    values = np.unique(numbers)
    is_whole = bool((values == np.floor(values)).all()) and values[0] >= -1
    is_count = len(values) == len(numbers)
    return is_whole and not is_count and len(values) > 1 and values[-1] < min(2 * len(values), 250)


def _unclear(sheet: Sheet, why: str, column: int | None = None) -> InputError:
    """A refusal with the table's first cells and, for a column, the option that settles it."""
    name = column if sheet.header is None or column is None else sheet.header[column]
    found = f"{sheet.path}: {why}. It begins with {sheet.start()}."
    if column is None:
        return InputError(found)
    return InputError(
        f"{found} Say which column is the label: {advice('label_column', name)}; -1 is the last. "
        f"To leave it out, add {advice('labels', False)}."
    )
