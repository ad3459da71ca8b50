"""Tables of pixels: one grey image per line, perhaps with a label, an id or an index."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import emnist
from .arrays import Arrays
from .columns import find_columns
from .options import ReadOptions
from .sheet import Sheet, read_sheet

_NAME = re.compile(r"\.(csv|tsv|txt|data|tra|tes)(\.(gz|zip|bz2|xz))?$", re.I)


def is_table(path: Path) -> bool:
    """Whether a file is named like a table."""
    return _NAME.search(path.name) is not None


def read_table(path: Path, options: ReadOptions) -> Arrays:
    """The pixels that the header names, or that are clear without one, and the label if any."""
    sheet = read_sheet(path)
    split = emnist.split_of(path.name)
    if split is not None and sheet.header is None and options.label_column is None:
        options = replace(options, label_column=0)
    columns = find_columns(sheet, options)
    images = _values(sheet, columns.pixels).reshape(-1, 1, *columns.shape)
    labels = None if columns.label is None else sheet.texts(columns.label)
    if split is not None:
        return emnist.arrays(images, labels, split, options, path)
    return Arrays(images, labels, unit=("line", sheet.numbers[0]))


def _values(sheet: Sheet, columns: list[int]) -> np.ndarray:
    """Whole numbers in 0..255 as uint8, other whole numbers as int32, all others as they are."""
    found = sheet.pixels(columns)
    if not (found == np.rint(found)).all():
        return found
    if found.min(initial=0) >= 0 and found.max(initial=0) <= 255:
        return found.astype(np.uint8)
    return found.astype(np.int32)
