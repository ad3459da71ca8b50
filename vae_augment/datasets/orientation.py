"""Whether the images of torchvision's EMNIST come out transposed, as its files hold them."""

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import ConcatDataset, Subset

from .wrappers import all_datasets, inner_datasets

_ITEMS = 8
WAY_OUT = (
    "Turn them upright, as load_data does: `transform=v2.Lambda(transposed)` of EMNIST, before "
    "others, with transposed from vae_augment.transforms."
)


def holds_transposed(data: Any) -> bool:
    """Whether the first items of `data` are images of EMNIST that no transform turned upright."""
    if not any(_is_emnist(each) for each in all_datasets(data)):
        return False
    likeness = np.zeros(2)
    for index in range(min(_ITEMS, len(data))):
        source, place = _origin(data, index)
        image = _grey_image(data[index])
        if _is_emnist(source) and image is not None:
            stored = np.asarray(source.data[place], np.float64)
            resized = np.asarray(Image.fromarray(image).resize(stored.shape[::-1]), np.float64)
            likeness += _correlation(resized, stored), _correlation(resized, stored.T)
    return bool(likeness[0] > likeness[1])


def _is_emnist(data: Any) -> bool:
    """Without importing torchvision's datasets, which takes its time."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(data).__mro__}
    return "torchvision.datasets.mnist.EMNIST" in names


def _origin(data: Any, index: int) -> tuple[Any, int]:
    """The innermost dataset that item `index` comes from, and its index there."""
    if isinstance(data, Subset):
        return _origin(data.dataset, int(data.indices[index]))
    if isinstance(data, ConcatDataset):
        part = bisect.bisect_right(data.cumulative_sizes, index)
        before = data.cumulative_sizes[part - 1] if part else 0
        return _origin(data.datasets[part], index - before)
    inner = {id(each): each for each in inner_datasets(data)}
    same = [each for each in inner.values() if len(each) == len(data)]
    return _origin(same[0], index) if len(same) == 1 else (data, index)


def _grey_image(item: Any) -> NDArray[np.float32] | None:
    for leaf in tree_leaves(item):
        if isinstance(leaf, Image.Image):
            return np.asarray(leaf.convert("L"), np.float32)
        if isinstance(leaf, Tensor | np.ndarray) and leaf.ndim >= 2:
            values = np.asarray(leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf)
            grey = values.reshape(-1, *values.shape[-2:]).mean(axis=0)
            return grey.astype(np.float32)
    return None


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a = one - one.mean()
    b = other - other.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-12))
