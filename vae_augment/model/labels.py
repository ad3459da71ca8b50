"""Labels as a model takes them: int64 class indices, -1 = unknown."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arguments import UNKNOWN, one_per_image
from ..errors import InputError
from .facts import Facts
from .sampling import class_index


def class_indices(labels: object, classes: Sequence[str]) -> Tensor:
    """Labels as int64 [N] on the CPU: in the forms of `one_per_image`, names among `classes`.

    Raises:
        InputError: as `one_per_image`, or a class that there is not.
    """
    found = one_per_image(labels)
    if found.dtype == object:
        indices = [name if name == UNKNOWN else class_index(name, classes) for name in found]
        return torch.tensor(indices, dtype=torch.int64, device="cpu")
    if len(found) and not (found.min() >= UNKNOWN and found.max() < len(classes)):
        raise InputError(
            f"labels lie in {found.min()}..{found.max()}; the model knows -1 (unknown) and "
            f"0..{len(classes) - 1}."
        )
    return torch.from_numpy(np.ascontiguousarray(found))


def checked_labels(labels: object, count: int, model: Facts) -> Tensor:
    """`class_indices` for `count` images; `InputError` also when there are not as many."""
    indices = class_indices(labels, model.classes)
    if len(indices) != count:
        raise InputError(
            f"labels of type {indices.dtype} and length {len(indices)} do not go with {count} "
            "images."
        )
    return indices
