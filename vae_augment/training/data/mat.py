"""The .mat files of EMNIST."""

import math
from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import DAMAGED, Arrays, _as_uint8


def read_mat(path: Path, train: bool) -> Arrays:
    """EMNIST's form.

    The images are transposed, one per row; a table names the labels by their character codes.
    """
    from scipy.io.matlab import MatReadError, loadmat

    try:
        content = loadmat(path, simplify_cells=True)["dataset"]
        part = content["train" if train else "test"]
        names = np.atleast_2d(content["mapping"])
        images = np.asarray(part["images"])
        side = math.isqrt(images.shape[1])
        images = images.reshape(-1, 1, side, side).swapaxes(2, 3)
        named = {
            int(row[0]): chr(row[-1]) for row in names
        }  # the letters' table has upper and lower case
    except (*DAMAGED, TypeError, KeyError, IndexError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path} cannot be read as a .mat file of EMNIST: {error!r}.") from None
    first = min(
        named
    )  # 1 for the letters: an empty class 0 would be generated as often as the others
    classes = np.array([named.get(label, "N/A") for label in range(first, max(named) + 1)])
    return Arrays(
        _as_uint8(images, path), np.atleast_1d(part["labels"]).astype(np.int64) - first, classes
    )
