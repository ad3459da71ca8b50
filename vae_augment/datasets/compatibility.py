"""Whether real and synthetic items are alike.

Unlike ones break a batch, or tell a classifier which is which.
"""

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError

_ITEMS = 8  # whose range is looked at: a single normalised image may well lie in [0, 1]
_SLACK = 0.25  # interpolation and added noise leave [0, 1] by less, normalisation by more


def check_alike(real: Any, synthetic: Any) -> None:
    """Compare the first items and the class names of two datasets; `InputError` where they do not go together.

    torch's random state stays as it is, although the transforms of `real` may be random.
    """
    _check_classes(real, synthetic)
    with torch.random.fork_rng(devices=[]):
        ours, theirs = (
            [_parts(data[index]) for index in range(min(_ITEMS, len(data)))]
            for data in (real, synthetic)
        )
    if ours[0].keys() != theirs[0].keys():
        raise InputError(
            f"The items of real consist of {', '.join(ours[0])}, those of synthetic of "
            f"{', '.join(theirs[0])}, so they do not fit into one batch. Where real has dicts: "
            "VAESyntheticDataset(..., keys=('image', 'label')), with the keys of real."
        )
    for place, value in ours[0].items():
        kind = _kind(value)
        other = _kind(theirs[0][place])
        if kind == other:
            kind, other = _ranges(
                *([parts.get(place) for parts in items] for items in (ours, theirs))
            )
        if kind != other:
            raise InputError(
                f"{place} is {kind} in real, but {other} in synthetic. A batch of both fails, or "
                f"a classifier tells real from synthetic by it. {_way_out(value)}"
            )


def _way_out(value: Any) -> str:
    if isinstance(value, Image.Image) or np.ndim(value):
        return (
            "Give VAESyntheticDataset output='float', 'uint8' or 'pil', and as transform= what "
            "real's images pass through, such as v2.Normalize."
        )
    return (
        "Give VAESyntheticDataset a target_transform=, such as torch.as_tensor where the labels "
        "of real are tensors."
    )


def _parts(item: Any, place: str = "item") -> dict[str, Any]:
    """What an item consists of, by place: item[0], item['image'], ..."""
    if not isinstance(item, Mapping | tuple | list):
        return {place: item}
    inner = item.items() if isinstance(item, Mapping) else enumerate(item)
    return {
        name: part
        for key, value in inner
        for name, part in _parts(value, f"{place}[{key!r}]").items()
    }


def _kind(value: Any) -> str:
    if isinstance(value, Image.Image):
        return f"a PIL image of mode {value.mode} and size {value.size}"
    if isinstance(value, Tensor | np.ndarray):
        name = "a tensor" if isinstance(value, Tensor) else "an array"
        return f"{name} of {str(value.dtype).removeprefix('torch.')} and shape {tuple(value.shape)}"
    return "an integer" if isinstance(value, numbers.Integral) else f"a {type(value).__name__}"


def _ranges(*parts: list[Any]) -> tuple[str, str]:
    """Words for the ranges of real and synthetic images.

    The same words, if nothing says that they differ.
    """
    spans = [[span for value in values if (span := _span(value))] for values in parts]
    if not all(spans):
        return "", ""
    low, high = (
        [pick(span[place] for span in side) for side in spans]
        for place, pick in enumerate((min, max))
    )
    kinds = [_range(*span) for span in zip(low, high, strict=True)]
    if "" in kinds or kinds[0] == kinds[1]:
        return "", ""
    first, second = (
        f"{kind} (from {a:.3g} to {b:.3g})" for kind, a, b in zip(kinds, low, high, strict=True)
    )
    return first, second


def _range(low: float, high: float) -> str:
    if low >= -1e-3 and high <= 1 + 1e-3:
        return "in [0, 1]"
    if low >= -_SLACK and high <= 1 + _SLACK:
        return ""  # one or the other
    return "normalised" if high < 16 else "not scaled"


def _span(value: Any) -> tuple[float, float] | None:
    """The lowest and highest value of a floating image, None for anything else."""
    is_floating = isinstance(value, Tensor) and value.is_floating_point()
    is_floating |= isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return (
        (float(value.min()), float(value.max()))
        if is_floating and np.ndim(value) and np.size(value)
        else None
    )


def _check_classes(real: Any, synthetic: Any) -> None:
    # A target_transform may be what makes labels agree, and redrawn images have no names of their
    # own.
    pair = (real, synthetic)
    if any(getattr(data, "target_transform", None) for data in pair):
        return
    if not all(getattr(data, "has_class_names", True) for data in pair):
        return
    ours, theirs = (list(getattr(data, "classes", None) or ()) for data in (real, synthetic))
    for name in ours:
        if name in theirs and ours.index(name) != theirs.index(name):
            raise InputError(
                f"The class {name!r} has label {ours.index(name)} in real, but "
                f"{theirs.index(name)} in synthetic, so the labels contradict each other. Give "
                "VAESyntheticDataset a target_transform= that maps its labels."
            )
