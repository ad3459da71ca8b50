"""Hugging Face's `datasets`: an object, or a folder that `save_to_disk` wrote."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .arrays import Arrays
from .hugging_face_columns import image_column, label_column
from .image_file import read_pages
from .options import ReadOptions
from .split_names import choose_split
from .stacking import stacked

_MARKS = ("dataset_info.json", "dataset_dict.json")


def is_hugging_face(source: Any) -> bool:
    """Whether `source` is a dataset, a dict of them, or the folder of either."""
    if isinstance(source, str | Path):
        return any((Path(source) / mark).is_file() for mark in _MARKS)
    return type(source).__module__.split(".")[0] == "datasets"


def read_hugging_face(source: Any, options: ReadOptions) -> Arrays:
    """The column of images, which is found by its type, and that of labels, by its type or name."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"Reading {source} needs Hugging Face's library. Install it: pip install datasets."
        ) from None
    data = datasets.load_from_disk(str(source)) if isinstance(source, str | Path) else source
    split = None
    if isinstance(data, dict):
        split = choose_split(data, options, "The dataset")
        data = data[split]
    if isinstance(data, datasets.IterableDataset):
        data = _taken(data, options)
    elif options.limit is not None:
        data = data.select(range(min(options.limit, len(data))))
    image = image_column(data)
    label = label_column(data, image, options) if options.labels else None
    cells = data.with_format(None).cast_column(image, datasets.Image(decode=False))[:]
    images, rows = _images(cells[image], image, data.features[image].mode, options)
    if not images:
        raise InputError("The dataset holds no images. Give at least one, or another source.")
    pixels = stacked(images, [f"Image {row} of the dataset" for row in rows], options)
    if label is None:
        return Arrays(pixels, split=split)
    kind = data.features[label]
    classes = getattr(getattr(kind, "feature", kind), "names", None)
    return Arrays(pixels, [cells[label][row] for row in rows], classes, split=split)


def _taken(stream: Any, options: ReadOptions) -> Any:
    """The first rows of a streamed dataset, as one in memory."""
    import datasets

    if options.limit is None:
        raise InputError(
            "The dataset is streamed, so its length is not known. Say how many rows to read at "
            "most: load_data(..., limit=10_000)."
        )
    features = stream.features
    for name, feature in (features or {}).items():
        if isinstance(feature, datasets.Image):
            stream = stream.cast_column(name, datasets.Image(mode=feature.mode, decode=False))
    rows = list(stream.take(options.limit))
    return datasets.Dataset.from_list(rows, features=features)


def _images(
    cells: list[Any], column: str, mode: str | None, options: ReadOptions
) -> tuple[list[np.ndarray], list[int]]:
    """The images in the cells of a column, and the row of each.

    The library's own decoding would clip 16-bit images, and could start outside programs.
    """
    images: list[np.ndarray] = []
    numbers: list[int] = []
    for row, cell in enumerate(cells):
        name = f"Image {row} of the dataset"
        if cell is None or (cell["bytes"] is None and cell["path"] is None):
            raise InputError(
                f"{name} is missing. Leave such rows out: "
                f"dataset.filter(lambda row: row[{column!r}] is not None)."
            )
        file = Path(cell["path"]) if cell["bytes"] is None else BytesIO(cell["bytes"])
        pages = read_pages(file, name, options, mode)
        images += pages
        numbers += [row] * len(pages)
    return images, numbers
