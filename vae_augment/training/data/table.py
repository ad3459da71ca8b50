"""Tables of pixels, .csv."""

import math
import re
from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import DAMAGED, Arrays


def read_csv(path: Path, train: bool) -> Arrays:
    """Kaggle's form.

    One image per line, perhaps below a header, the label before the pixels if there is one.
    """
    try:
        with open(path, encoding="utf-8") as file:
            has_header = re.search("[a-zA-Z]", file.readline()) is not None
        rows = np.loadtxt(path, np.int32, delimiter=",", skiprows=int(has_header), ndmin=2)
    except (*DAMAGED, OverflowError) as error:
        raise InputError(f"{path} cannot be read as a table of integers: {error}.") from None
    columns = rows.shape[1]
    side = math.isqrt(columns)
    pixels = rows[:, columns - side**2 :]
    if columns - side**2 > 1 or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 255:
        raise InputError(
            f"{path} has {columns} columns; give a label and the pixels of a square image, or the "
            "pixels alone, each an integer from 0 to 255."
        )
    images = pixels.astype(np.uint8).reshape(-1, 1, side, side)
    return Arrays(images, rows[:, 0] if columns > side**2 else None)
