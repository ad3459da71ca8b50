"""NumPy's .npz files, also in the forms of MedMNIST and Kuzushiji-MNIST."""

from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import DAMAGED, Arrays, _as_uint8, _channels_first


def read_npz(path: Path, train: bool) -> Arrays:
    """`images`, perhaps `labels` and `classes`.

    MedMNIST's names; or Kuzushiji's pair of files with one array each.
    """
    content = _load_npz(path)
    if set(content) == {"arr_0"}:  # the labels lie in a file beside it
        labels = path.with_name(path.name.replace("imgs", "labels"))
        is_pair = labels != path and labels.is_file()
        content = {"images": content["arr_0"]} | (
            {"labels": _load_npz(labels)["arr_0"]} if is_pair else {}
        )
    prefix = "" if "images" in content else ("train_" if train else "test_")  # MedMNIST's names
    if f"{prefix}images" not in content:
        raise InputError(f"{path} has the arrays {sorted(content)}; one named 'images' is needed.")
    images = _as_uint8(_channels_first(content[f"{prefix}images"], path), path)
    return Arrays(images, content.get(f"{prefix}labels"), content.get("classes"))


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (*DAMAGED, TypeError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}.") from None
