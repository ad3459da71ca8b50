"""NumPy's .npz files, also in the forms of Keras, MedMNIST and Kuzushiji-MNIST."""

import re
import warnings
from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import DAMAGED, Arrays
from .column_names import listed, plain
from .named_arrays import CLASSES, IMAGES, arrays_of_split, label_array
from .options import ReadOptions, advice
from .stacking import channels_first
from .transparency import arrays_on_background


def read_npz(path: Path, options: ReadOptions) -> Arrays:
    """`images`, perhaps `labels` and `classes`; of one split where the names say several."""
    content = _load_npz(path)
    if set(content) == {"arr_0"}:
        content = {"images": content["arr_0"]} | _kuzushijis_labels(path)
    split, arrays = arrays_of_split(content, options, path)
    names = None if options.label_column == CLASSES else arrays.pop(CLASSES, None)
    found = [name for name in arrays if plain(name) in IMAGES]
    if len(found) != 1:
        raise InputError(f"{path} has the arrays {sorted(content)}; one named 'images' is needed.")
    images = channels_first(arrays_on_background(arrays.pop(found[0]), path, options), path)
    label = label_array(arrays, names, options, path)
    left = [name for name, array in arrays.items() if name != label and len(array) == len(images)]
    if left and options.labels and options.label_column is None:
        warnings.warn(
            f"{path}: the arrays {listed(left)} are not read. If one holds the labels, say so: "
            f"{advice('label_column', left[0])}.",
            stacklevel=3,
        )
    classes = None if names is None else _texts(np.atleast_1d(names))
    return Arrays(images, None if label is None else arrays[label], classes, split=split)


def _texts(names: np.ndarray) -> list[str]:
    decoded = np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names
    return [str(name) for name in decoded]


def _kuzushijis_labels(path: Path) -> dict[str, np.ndarray]:
    """The labels of `kmnist-train-imgs.npz` lie in a file beside it."""
    labels = path.with_name(re.sub("imgs", "labels", path.name, flags=re.I))
    return {"labels": _load_npz(labels)["arr_0"]} if labels != path and labels.is_file() else {}


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (*DAMAGED, TypeError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}.") from None
