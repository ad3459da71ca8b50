"""EMNIST, whose files hold the images transposed and number the letters from 1.

Whichever form is read, images are upright, labels begin with 0, and classes have torchvision's
names. IDX files and tables are recognised by their names, emnist-SPLIT-...
"""

import re
from typing import Any

import numpy as np

from ...errors import InputError

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


def from_zero(labels: np.ndarray, split: str, where: object) -> np.ndarray:
    """The labels of a split numbered from 0."""
    whole = labels.astype(np.int64)
    if split != "letters" or not whole.size:
        return whole
    low = int(whole[whole >= 0].min(initial=1))
    if low == 0 and whole.max() > 25:
        raise InputError(
            f"{where}: labels 0 to {whole.max()}, but EMNIST's letters are numbered 1 to 26. "
            "Number them so, or rename the file."
        )
    return whole if low == 0 else np.where(whole > 0, whole - 1, -1)
