"""What a reader gives: the images and labels of a source as they are stored."""

import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)  # what damaged files raise


class Arrays(NamedTuple):
    """What a reader gives: values and labels as they are stored.

    images: [N, C, H, W] of any type that `to_uint8` takes, with 1 or 3 channels.
    labels: one per image, of any type that `number_labels` takes; None = the source has none.
    classes: the names of the labels 0, 1, ..., where the source says them.
    files: the names of the images' files, where they come from files.
    is_known: the labels are numbered from 0 as those of a known set, whose classes all stay.
    split: which split of the source was read, where it has several.
    unit: what an image is in the source and the number of the first, for messages: ("line", 2).
    """

    images: np.ndarray
    labels: Any = None
    classes: Sequence[str] | None = None
    files: Sequence[str] = ()
    is_known: bool = False
    split: str | None = None
    unit: tuple[str, int] = ("image", 0)
