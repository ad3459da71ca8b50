"""Tables in text files, as Excel, pandas and others write them: lines, separator, header."""

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from .text_file import read_text

_SEPARATORS = ("\t", ";", "|", ",")
_SAMPLE = 5  # lines that are looked at to find the separator and the header
_FEWEST_COUNTED = 9  # columns; fewer numbers could count up by chance
_BLANK = " \t;|,\"'"
_AGAIN = re.compile(r"\d+\.[1-9]\d*")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class Sheet(NamedTuple):
    """The lines of a table, their numbers in the file, its separator (None = spaces), its header.

    The header is None where the first line holds data.
    """

    path: Path
    lines: list[str]
    numbers: list[int]
    separator: str | None
    header: list[str] | None

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.header or self.cells(0))

    def cells(self, row: int) -> list[str]:
        """The cells of a line of data."""
        return _cells(self.lines[row], self.separator)

    def texts(self, column: int) -> np.ndarray:
        """A column as texts [N]."""
        found = _loaded(self, self.lines, str, [column])[:, 0]
        return np.array([_with_point(text.strip(), self.separator) for text in found])

    def pixels(self, columns: Sequence[int]) -> np.ndarray:
        """Columns as float32 [N, columns]; `InputError` with the line that holds no number."""
        lines = self.lines
        if self.separator != "," and any("," in line for line in lines):
            lines = [line.replace(",", ".") for line in lines]
        try:
            found = _loaded(self, lines, np.float32, columns)
        except ValueError:
            raise _wrong_cell(self, columns) from None
        if not np.isfinite(found).all():
            raise _wrong_cell(self, columns)
        return found

    def start(self) -> str:
        """The first cells of the first two lines, for messages."""
        lines = [self.header] if self.header else []
        lines += [self.cells(row) for row in range(min(2 - len(lines), len(self.lines)))]
        return " / ".join(", ".join([*cells[:4], *["..."] * (len(cells) > 4)]) for cells in lines)


def read_sheet(path: Path) -> Sheet:
    """The table in a file; `InputError` where lines have different numbers of cells."""
    lines = re.split("\r\n|\r|\n", read_text(path))
    is_stated = lines[0].lower().startswith("sep=") and len(lines[0]) == 5  # as Excel writes it
    kept = [number for number, line in enumerate(lines) if line.strip(_BLANK)][int(is_stated) :]
    rows = [lines[number] for number in kept]
    separator = lines[0][4] if is_stated else _separator(rows[:_SAMPLE])
    sample = [_cells(line, separator) for line in rows[:_SAMPLE]]
    if not any(_is_number(cell, separator) for cells in sample for cell in cells):
        raise InputError(f"{path} holds no table of pixels: its first lines have no numbers.")
    if _is_mangled(sample):
        raise InputError(
            f"{path}, line 1: {', '.join(sample[0][:5])}, ... is an image that pandas took for a "
            "header and changed. Read the source anew with header=None, and write it again."
        )
    has_header = _is_header(sample, separator)
    first = int(has_header)
    header = [cell.strip() for cell in sample[0]] if has_header else None
    numbers = [number + 1 for number in kept]
    for line, number in zip(rows, numbers, strict=True):
        _check_width(line, separator, len(sample[0]), f"{path}, line {number}")
    return Sheet(path, rows[first:], numbers[first:], separator, header)


def counts_columns(cells: Sequence[str]) -> bool:
    """Whether the cells count up from 0 or 1; the first and the last may be anything."""
    inner = [cell.strip() for cell in cells[1:-1]]
    if len(cells) < _FEWEST_COUNTED or not all(cell.isdecimal() for cell in inner):
        return False
    start = int(inner[0])
    return start in (0, 1, 2) and inner == [str(start + index) for index in range(len(inner))]


def _cells(line: str, separator: str | None) -> list[str]:
    """The cells of a line, without their quotes."""
    if separator is None or '"' not in line:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator))


def _check_width(line: str, separator: str | None, width: int, where: str) -> None:
    has_quotes = separator is None or '"' in line
    found = len(_cells(line, separator)) if has_quotes else line.count(str(separator)) + 1
    if found != width:
        raise InputError(
            f"{where} has {found} columns, but the first line has {width}. Mend or remove it."
        )


def _separator(sample: Sequence[str]) -> str | None:
    """The separator of which the first lines have equally many; None = spaces."""
    counts = {}
    for separator in _SEPARATORS:
        widths = {len(_cells(line, separator)) for line in sample}
        counts[separator] = widths.pop() if len(widths) == 1 else 1
    clear = [separator for separator in _SEPARATORS if separator != "," and counts[separator] > 3]
    if clear:  # also where the numbers have decimal commas
        return clear[0]
    if not sample:
        return ","
    best = max(_SEPARATORS, key=lambda separator: counts[separator])
    if counts[best] > 1:
        return best
    widths = {len(line.split()) for line in sample}
    if len(widths) == 1 and widths != {1}:
        return None
    return max(_SEPARATORS, key=sample[0].count)  # lines differ, as is said of the first that does


def _is_header(sample: Sequence[Sequence[str]], separator: str | None) -> bool:
    """Whether the first line names columns.

    It does where it has text above numbers, or counts the columns, as pandas does without names.
    """
    are_numbers = [[_is_number(cell, separator) for cell in cells] for cells in sample]
    below = [all(column) for column in zip(*are_numbers[1:], strict=False)]
    is_above_numbers = (True, False) in zip(below, are_numbers[0], strict=False)
    return is_above_numbers or counts_columns(sample[0])


def _is_mangled(sample: Sequence[Sequence[str]]) -> bool:
    """Whether the first line holds pandas' names of columns of one name: 0, 0.1, 0.2, ..."""
    again = [cell.partition(".") for cell in sample[0] if _AGAIN.fullmatch(cell)]
    if not again or any("." in cell for cells in sample[1:] for cell in cells):
        return False
    counts = Counter(name for name, _, _ in again)
    expected = {
        f"{name}.{number}" for name, most in counts.items() for number in range(1, most + 1)
    }
    return expected | counts.keys() <= set(sample[0])


def _loaded(sheet: Sheet, lines: Sequence[str], kind: type, columns: Sequence[int]) -> np.ndarray:
    return np.loadtxt(
        lines,
        kind,
        delimiter=sheet.separator,
        usecols=columns,
        quotechar='"',
        comments=None,
        ndmin=2,
    )


def _wrong_cell(sheet: Sheet, columns: Sequence[int]) -> InputError:
    for row, number in enumerate(sheet.numbers):
        cells = sheet.cells(row)
        for column in columns:
            if not _is_number(cells[column], sheet.separator, finite=True):
                name = repr(sheet.header[column]) if sheet.header else str(column)
                return InputError(
                    f"{sheet.path}, line {number}: column {name} holds {cells[column]!r}, which is "
                    "no value of a pixel. Mend or remove the line."
                )
    return InputError(f"{sheet.path} cannot be read as a table of numbers.")


def _is_number(cell: str, separator: str | None, finite: bool = False) -> bool:
    try:
        value = float(_with_point(cell.strip(), separator))
    except ValueError:
        return False
    return math.isfinite(value) or not finite


def _with_point(text: str, separator: str | None) -> str:
    """A number with a point where it has a comma."""
    if separator != "," and _DECIMAL_COMMA.fullmatch(text):
        return text.replace(",", ".")
    return text
