"""Datasets inside other datasets: `Subset`, `ConcatDataset`, ours, and those that people write."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..errors import InputError


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


def check_map_style(name: str, data: object) -> None:
    """Raise `InputError` for what has no items to choose by index: streams, loaders, splits."""
    if isinstance(data, DataLoader):
        raise InputError(f"{name} is a DataLoader. Give its dataset: `{name}.dataset`.")
    if isinstance(data, Mapping):
        splits = [str(key) for key in data]
        first = splits[0] if splits else "train"
        raise InputError(
            f"{name} is a dict of {', '.join(splits) or 'nothing'}. Give one of its datasets, such "
            f"as `{name}[{first!r}]`."
        )
    kind = type(data)
    is_sized = hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
    if isinstance(data, IterableDataset) or not is_sized:
        raise InputError(
            f"{name} is a {kind.__name__}, a stream without items to choose from by index. Read as "
            f"many as you need into a list first: `list(itertools.islice({name}, 1000))`."
        )
