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
from . import ways_out
from .classes import labels_by_name
from .orientation import WAY_OUT, holds_transposed

_ITEMS = 8  # whose range is looked at: a single normalised image may well lie in [0, 1]
_SLACK = 0.25  # interpolation and added noise leave [0, 1] by less, normalisation by more


def check_alike(real: Any, synthetic: Any) -> None:
    """Compare the first items and the names of the classes of two datasets.

    torch's random state stays as it is, although the transforms of `real` may be random.

    Raises:
        InputError: they do not go together.
    """
    with torch.random.fork_rng(devices=[]):
        _check_classes(real, synthetic)
        _check_orientation(real, synthetic)
        ours, theirs = (
            [_parts(data[index]) for index in range(min(_ITEMS, len(data)))]
            for data in (real, synthetic)
        )
    if ours[0].keys() != theirs[0].keys():
        raise InputError(
            f"The items of real consist of {', '.join(ours[0])}, those of synthetic of "
            f"{', '.join(theirs[0])}, so they do not fit into one batch. "
            f"{ways_out.to_form(ours[0])}"
        )
    for place in ours[0]:
        _check_part(place, *([parts.get(place) for parts in items] for items in (ours, theirs)))


def _check_part(place: str, ours: list[Any], theirs: list[Any]) -> None:
    """Compare one part of some real items with that of some synthetic ones."""
    real = ours[0]
    synthetic = theirs[0]
    kind = _kind(real)
    other = _kind(synthetic)
    if kind != other:
        is_image = ways_out.is_image(real)
        way = ways_out.to_image(real, synthetic) if is_image else ways_out.to_label(real)
    else:
        kind, other = _ranges(ours, theirs)
        way = ways_out.to_range(kind)
    if kind != other:
        raise InputError(
            f"{place} is {kind} in real, but {other} in synthetic. A batch of both fails, or a "
            f"classifier tells real from synthetic by it. {way}"
        )


def _check_classes(real: Any, synthetic: Any) -> None:
    ours = labels_by_name(real)
    theirs = labels_by_name(synthetic)
    change = getattr(synthetic, "target_transform", None)
    for name in ours:
        if name in theirs and ours[name] != theirs[name]:
            raise InputError(
                f"The class {name!r} has label {ours[name]} in real, but {theirs[name]} in "
                "synthetic, so the labels contradict each other. Give VAESyntheticDataset a "
                f"target_transform= that maps its labels{_mapping(ours, theirs, change)}."
            )


def _mapping(ours: dict[str, Any], theirs: dict[str, Any], change: Any) -> str:
    """The `target_transform`, in place of `change`, that gives synthetic items the real labels."""
    in_order = sorted(theirs, key=lambda name: str(theirs[name]).zfill(8))
    is_listed = [theirs[name] for name in in_order] == list(range(len(in_order)))
    if not is_listed or not ours.keys() >= theirs.keys():
        return ""
    labels = [ours[name] for name in in_order]
    if change is torch.as_tensor:
        return f": `target_transform=lambda label: torch.as_tensor({labels}[label])`"
    return "" if change else f": `target_transform={labels}.__getitem__`"


def _check_orientation(real: Any, synthetic: Any) -> None:
    for side, data in {"real": real, "synthetic": synthetic}.items():
        if holds_transposed(data):
            raise InputError(
                f"The images of {side} are transposed, as torchvision's EMNIST holds them, while "
                f"others are upright. {WAY_OUT}"
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


def _ranges(ours: list[Any], theirs: list[Any]) -> tuple[str, str]:
    """Words for the ranges of real and synthetic images.

    The same words, if nothing says that they differ.
    """
    our_span = _common_span(ours)
    their_span = _common_span(theirs)
    if our_span is None or their_span is None:
        return "", ""
    kind = _range(*our_span)
    other = _range(*their_span)
    if "" in (kind, other) or kind == other:
        return "", ""
    return _with_ends(kind, our_span), _with_ends(other, their_span)


def _with_ends(kind: str, span: tuple[float, float]) -> str:
    return f"{kind} (from {span[0]:.3g} to {span[1]:.3g})"


def _common_span(values: list[Any]) -> tuple[float, float] | None:
    """The lowest and highest value of all floating images; None where there are none."""
    spans = [span for value in values if (span := _span(value)) is not None]
    if not spans:
        return None
    return min(low for low, _ in spans), max(high for _, high in spans)


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
