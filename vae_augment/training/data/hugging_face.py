"""Hugging Face's `datasets`: an object, or a folder that `save_to_disk` wrote."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .arrays import Arrays
from .folders import read_image, stacked

_MARKS = ("dataset_info.json", "dataset_dict.json")


def is_hugging_face(source: Any) -> bool:
    """Whether `source` is a dataset, a dict of them, or the folder of either."""
    if isinstance(source, str | Path):
        return any((Path(source) / mark).is_file() for mark in _MARKS)
    return type(source).__module__.split(".")[0] == "datasets"


def read_hugging_face(source: Any, train: bool) -> Arrays:
    """The column of images and that of class labels, which are found by their types."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"Reading {source} needs Hugging Face's library. Install it: pip install datasets."
        ) from None
    data = datasets.load_from_disk(str(source)) if isinstance(source, str | Path) else source
    if isinstance(data, dict):
        split = "train" if train else "test"
        if split not in data:
            raise InputError(
                f"The dataset has the splits {sorted(data)}; one named {split!r} is needed."
            )
        data = data[split]
    image, label = (_column(data, kind) for kind in (datasets.Image, datasets.ClassLabel))
    if image is None:
        raise InputError(
            f"The dataset has the columns {data.features}; one of the type Image is needed."
        )
    # Its own decoding would clip 16-bit images, and could start outside programs.
    rows = data.with_format(None).cast_column(image, datasets.Image(decode=False))[:]
    names = [f"Image {row} of the dataset" for row in range(len(data))]
    images = [
        read_image(Path(cell["path"]) if cell["bytes"] is None else BytesIO(cell["bytes"]), name)
        for cell, name in zip(rows[image], names, strict=True)
    ]
    if not images:
        raise InputError("The dataset holds no images. Give at least one, or another source.")
    classes = None if label is None else np.array(data.features[label].names)
    return Arrays(stacked(images, names), None if label is None else np.array(rows[label]), classes)


def _column(data: Any, kind: type) -> str | None:
    names = [name for name, feature in data.features.items() if isinstance(feature, kind)]
    if len(names) > 1:
        raise InputError(
            f"The dataset has several columns of the type {kind.__name__}: {', '.join(names)}. "
            "Leave one: dataset.remove_columns(...)."
        )
    return names[0] if names else None
