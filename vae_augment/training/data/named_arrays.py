"""What the arrays of an archive hold, by their names: images, labels, names of classes, splits."""

from pathlib import Path

import numpy as np

from ...errors import InputError
from .column_names import LABELS, listed, plain
from .options import ReadOptions, advice
from .split_names import choose_split, kind_of_split

IMAGES = ("images", "image", "imgs", "x", "data")
CLASSES = "classes"


def arrays_of_split(
    content: dict[str, np.ndarray], options: ReadOptions, path: Path
) -> tuple[str | None, dict[str, np.ndarray]]:
    """The split to read, and its arrays by their names without that of the split, as in x_train."""
    by_split: dict[str, dict[str, np.ndarray]] = {}
    for name, array in content.items():
        first, _, last = name.partition("_")
        split, what = (first, last) if kind_of_split(first) else (last, first)
        if what and kind_of_split(split):
            by_split.setdefault(split, {})[what] = np.atleast_1d(array)
    if not by_split or any(plain(name) in IMAGES for name in content):
        return None, {name: np.atleast_1d(array) for name, array in content.items()}
    chosen = choose_split(by_split, options, path)
    shared = {name: content[name] for name in (CLASSES,) if name in content}
    return chosen, by_split[chosen] | shared


def label_array(
    arrays: dict[str, np.ndarray], names: object, options: ReadOptions, path: Path
) -> str | None:
    """The name of the array that holds the labels; None where there is none."""
    if not options.labels:
        return None
    if options.label_column is not None:
        if options.label_column not in arrays:
            raise InputError(
                f"{path} has the arrays {listed(sorted(arrays))} beside the images, but none named "
                f"{options.label_column!r}. Give one of these names."
            )
        return str(options.label_column)
    found = [name for name in arrays if plain(name) in LABELS]
    if len(found) > 1:
        raise InputError(
            f"{path} has the arrays {listed(found)}, of which more than one could hold the labels. "
            f"Say which: {advice('label_column', found[0])}."
        )
    if not found and names is not None:
        raise InputError(
            f"{path} has no array 'labels', but 'classes', which should name the classes. If it "
            f"holds the labels: {advice('label_column', CLASSES)}; if there are none: "
            f"{advice('labels', False)}."
        )
    return found[0] if found else None
