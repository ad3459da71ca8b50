"""EMNIST, whose files hold the images transposed and number the letters from 1.

Whichever form is read, images are upright, labels begin with 0, and classes have torchvision's
names. IDX files and tables are recognised by their names, emnist-SPLIT-...
"""

import re
from typing import Any

import numpy as np

from ...errors import InputError
from .arrays import Arrays
from .options import ReadOptions

SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
_NAME = re.compile(rf"emnist[-_. ]({'|'.join(SPLITS)})\b", re.I)


def split_of(name: str) -> str | None:
    """The split of EMNIST that a file of this name holds; None for another file."""
    found = _NAME.search(name.replace("_", "-"))
    return None if found is None else found[1].lower()


def upright(images: Any) -> Any:
    """Images [N, C, H, W], an array or a tensor, upright, from those as they are stored."""
    return images.swapaxes(2, 3)


def classes_of(split: str) -> tuple[str, ...]:
    """The names of the labels of a split, from 0; the letters' own label 0 has no images."""
    from torchvision.datasets import EMNIST

    names = tuple(EMNIST.classes_split_dict[split])
    return names[1:] if split == "letters" else names


def arrays(
    images: np.ndarray, labels: np.ndarray | None, split: str, options: ReadOptions, where: object
) -> Arrays:
    """Images [N, C, H, W] and labels [N] of a split, as the files hold them."""
    shown = upright(images)
    if labels is None or not options.labels:
        return Arrays(shown)
    return Arrays(shown, from_zero(labels, split, where), classes_of(split), is_known=True)


def from_zero(labels: np.ndarray, split: str, where: object) -> np.ndarray:
    """The labels of a split, numbers or their texts, as int64 from 0; -1 stays unknown."""
    first = 1 if split == "letters" else 0
    last = first + len(classes_of(split)) - 1
    try:
        whole = labels.astype(float).astype(np.int64)
        is_wrong = (whole != -1) & ((whole < first) | (whole > last))
    except ValueError:
        is_wrong = np.ones(len(labels), bool)
    if is_wrong.any():
        raise InputError(
            f"{where}: the label {labels[is_wrong.argmax()]} is not EMNIST's, which numbers the "
            f"split {split} from {first} to {last}. Rename the file if it holds something else."
        )
    return np.where(whole == -1, -1, whole - first)
