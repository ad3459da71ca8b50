"""The .mat files of EMNIST."""

import math
from pathlib import Path

import numpy as np

from ...errors import InputError
from . import emnist
from .arrays import DAMAGED, Arrays
from .options import ReadOptions
from .split_names import choose_split, kind_of_split


def read_mat(path: Path, options: ReadOptions) -> Arrays:
    """EMNIST's form.

    The images are transposed, one per row; a table names the labels by their character codes.
    """
    from scipy.io.matlab import MatReadError, loadmat

    try:
        content = loadmat(path, simplify_cells=True)["dataset"]
        names = np.atleast_2d(content["mapping"])
        splits = [name for name in content if kind_of_split(name)]
        split = choose_split(splits, options, path)
        part = content[split]
        images = np.asarray(part["images"])
        labels = np.atleast_1d(part["labels"]).astype(np.int64)
        side = math.isqrt(images.shape[1])
        images = emnist.upright(images.reshape(-1, 1, side, side))
        named = {
            int(row[0]): chr(row[-1]) for row in names
        }  # the letters' table has upper and lower case
    except InputError:
        raise
    except (*DAMAGED, TypeError, KeyError, IndexError, NotImplementedError, MatReadError) as error:
        raise InputError(
            f"{path} cannot be read as a .mat file of EMNIST: {error!r}. Other arrays are read "
            "from an .npz: numpy.savez(PATH, images=..., labels=...)."
        ) from None
    first = min(named)  # 1 for the letters
    classes = [named.get(label, "N/A") for label in range(first, max(named) + 1)]
    numbered = np.where(labels < first, -1, labels - first)
    return Arrays(images, numbered, classes, is_known=True, split=split)
