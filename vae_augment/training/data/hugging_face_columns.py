"""The columns of images and labels in a dataset of Hugging Face."""

import warnings
from typing import Any

from ...errors import InputError
from .column_names import is_id, is_label, listed
from .options import ReadOptions, advice


def image_column(data: Any) -> str:
    """The one column of type Image; `InputError` for none or several."""
    import datasets

    found = [name for name, kind in data.features.items() if isinstance(kind, datasets.Image)]
    if len(found) > 1:
        raise InputError(
            f"The dataset has several columns of the type Image: {listed(found)}. Leave one: "
            f"dataset.remove_columns({found[1:]!r})."
        )
    if not found:
        raise InputError(
            f"The dataset has the columns {data.features}; one of the type Image is needed: "
            "dataset.cast_column(COLUMN, datasets.Image())."
        )
    return found[0]


def label_column(data: Any, image: str, options: ReadOptions) -> str | None:
    """The column that `label_column` names, else that of type ClassLabel, else one named so."""
    import datasets

    others = [name for name in data.features if name != image]
    if options.label_column is not None:
        if options.label_column not in others:
            raise InputError(
                f"The dataset has the columns {listed(others)} beside the images, but none named "
                f"{options.label_column!r}. Give one of these names."
            )
        return str(options.label_column)
    typed = [name for name in others if isinstance(data.features[name], datasets.ClassLabel)]
    found = typed or [name for name in others if is_label(name)]
    if len(found) > 1:
        kind = "columns of the type ClassLabel" if typed else "columns that could hold the label"
        raise InputError(
            f"The dataset has several {kind}: {listed(found)}. Say which: "
            f"{advice('label_column', found[0])}."
        )
    left = [name for name in others if not is_id(name)]
    if not found and left:
        warnings.warn(
            "The dataset has no column of the type ClassLabel or named label, so the images have "
            f"no labels. If one of {listed(left)} holds them: {advice('label_column', left[0])}.",
            stacklevel=3,
        )
    return found[0] if found else None
