"""The names of a dataset's classes and the labels of its items, found through other datasets.

No item is loaded: torchvision's datasets, those of MedMNIST and Hugging Face's keep them apart.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Subset

from ..arguments import one_per_image
from ..errors import InputError
from .wrappers import inner_datasets

_TARGETS = ("targets", "labels", "_labels")
_COLUMNS = ("label", "labels", "target", "targets")


def labels_by_name(data: Any) -> dict[str, Any]:
    """The label that items of each class have, by the name of the class; {} without names.

    Labels are those after the `target_transform` of each dataset on the way.

    Raises:
        InputError: datasets inside give one class different labels.
    """
    if not getattr(data, "has_class_names", True):
        return {}
    found = _own_labels(data)
    if not found:
        found = _merged(labels_by_name(inner) for inner in inner_datasets(data))
    change = getattr(data, "target_transform", None)
    return found if change is None else _changed(found, change)


def _own_labels(data: Any) -> dict[str, Any]:
    features = getattr(data, "features", None)
    if isinstance(features, dict):
        names = _label_feature(features)[1]
        return {name: index for index, name in enumerate(names)}
    if hasattr(type(data), "begin_pass") and inner_datasets(data):
        return {}  # ours, which has its names from the datasets inside
    known = getattr(data, "class_to_idx", None)
    if isinstance(known, dict):
        return {str(name): index for name, index in known.items()}
    classes = getattr(data, "classes", None)
    if not isinstance(classes, Sequence) or isinstance(classes, str):
        return {}
    return {str(name): index for index, name in enumerate(classes)}


def _label_feature(features: dict[str, Any]) -> tuple[str, Sequence[str]]:
    """The column of Hugging Face's features that holds labels, and the names of the classes."""
    for column, feature in features.items():
        if hasattr(feature, "names"):
            return column, feature.names
    return next((column for column in _COLUMNS if column in features), ""), ()


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, label in itertools.chain.from_iterable(part.items() for part in parts):
        if merged.setdefault(name, label) != label:
            raise InputError(
                f"The class {name!r} has label {merged[name]} in one of the datasets inside, but "
                f"{label} in another, so their labels contradict each other. Give one of them a "
                "target_transform= that maps its labels to those of the other."
            )
    return merged


def _changed(labels: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The labels after a `target_transform`; {} where it does not take class indices."""
    try:
        return {name: _plain(change(label)) for name, label in labels.items()}
    except Exception:  # it may raise anything: the code is not ours
        return {}


def _plain(label: Any) -> Any:
    """A label as Python's number or text, whatever type holds it."""
    try:
        (found,) = one_per_image(label).tolist()
    except (InputError, ValueError):
        return str(label)
    return found


def names_of(data: Any) -> list[str]:
    """The names of the classes by index; an index without a name has itself as text.

    Raises:
        AttributeError: there are no names.
    """
    labels = labels_by_name(data)
    indices = [label for label in labels.values() if isinstance(label, int) and label >= 0]
    if not indices:
        raise AttributeError(f"{type(data).__name__} has no names of classes.")
    names = [str(index) for index in range(max(indices) + 1)]
    for name, label in labels.items():
        if isinstance(label, int) and label >= 0:
            names[label] = name
    return names


def targets_of(data: Any) -> Any:
    """The labels of all items in their order: as the dataset holds them, else a list.

    Raises:
        AttributeError: they are not known without loading the items.
    """
    change = getattr(data, "target_transform", None)
    given = _given_targets(data)
    if change is None:
        return given
    labels = one_per_image(given).tolist()
    changed = {label: _plain(change(label)) for label in set(labels)}
    return [changed[label] for label in labels]


def _given_targets(data: Any) -> Any:
    """The labels before the dataset's own `target_transform`."""
    if isinstance(data, Subset):
        inner = one_per_image(targets_of(data.dataset))
        return inner[np.asarray(data.indices, np.int64)].tolist()
    if isinstance(data, ConcatDataset):
        return _joined(targets_of(inner) for inner in data.datasets)
    features = getattr(data, "features", None)
    if isinstance(features, dict):
        column = _label_feature(features)[0]
        if column:
            return list(data[column])
    for name in _TARGETS:
        if hasattr(data, name):
            return getattr(data, name)
    raise AttributeError(f"{type(data).__name__} has no targets.")


def _joined(parts: Iterable[Any]) -> list[Any]:
    return [label for part in parts for label in one_per_image(part).tolist()]


def target_array(data: Any) -> NDArray[Any]:
    """`targets_of` as an array [N], int64 or names."""
    return one_per_image(targets_of(data))
