"""Datasets inside other datasets: `Subset`, `ConcatDataset`, ours, and those that people write."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset


def inner_datasets(data: object) -> list[Any]:
    """The datasets that `data` holds as attributes, alone or in lists, tuples and mappings."""
    found = []
    for value in getattr(data, "__dict__", {}).values():
        if isinstance(value, Mapping):
            value = list(value.values())
        candidates = value if isinstance(value, list | tuple) else [value]
        # Lists of items, which may be long, are told by their first entry.
        if candidates and _is_dataset(candidates[0]):
            found += [each for each in candidates if _is_dataset(each)]
    return found


def all_datasets(data: object) -> Iterator[Any]:
    """`data` and the datasets inside it, at any depth, each once."""
    seen: set[int] = set()
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            waiting += inner_datasets(each)
            yield each


def _is_dataset(value: object) -> bool:
    if isinstance(value, Dataset):
        return True
    is_sized = hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__")
    return is_sized and hasattr(value, "__dict__") and not isinstance(value, Tensor)
