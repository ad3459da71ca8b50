"""Folders of image files, and single ones."""

from pathlib import Path

import numpy as np

from .arrays import Arrays
from .class_folders import find_class_folders
from .image_file import read_pages
from .options import ReadOptions
from .stacking import stacked


def read_folder(path: Path, options: ReadOptions) -> Arrays:
    """Images in class folders, without a label beside them, or both; of one split of several."""
    found = find_class_folders(path, options)
    images: list[np.ndarray] = []
    names: list[str] = []
    labels: list[int] = []
    for file, label in zip(found.images, found.labels(), strict=True):
        pages = read_pages(file, file, options)
        images += pages
        names += _page_names(file.relative_to(found.root).as_posix(), len(pages))
        labels += [label] * len(pages)
    pixels = stacked(images, [found.root / name for name in names], options)
    return Arrays(pixels, np.array(labels), found.classes, names, split=found.split)


def read_picture(path: Path, options: ReadOptions) -> Arrays:
    """The one image of a file, or each of its pages; without a label."""
    pages = read_pages(path, path, options)
    names = _page_names(path.name, len(pages))
    return Arrays(stacked(pages, names, options), files=names)


def _page_names(name: str, pages: int) -> list[str]:
    return [name] if pages == 1 else [f"{name}#{page + 1}" for page in range(pages)]
