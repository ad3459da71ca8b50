"""Labels as a model takes them: int64, -1 = unknown."""

import torch
from torch import Tensor

from ..errors import InputError
from .spec import Spec


def as_labels(labels: object) -> Tensor:
    """Labels of whatever type as a tensor [B] on the CPU; `InputError` where they cannot be one."""
    try:
        return torch.as_tensor(labels).reshape(-1).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"The labels {str(labels)[:100]} are not integers: {error}.") from None


def checked_labels(labels: object, count: int, spec: Spec) -> Tensor:
    """Labels as int64 [count] on the CPU.

    `InputError` when they do not fit the number of images or the classes.
    """
    given = as_labels(labels)
    if given.is_floating_point() or given.is_complex() or len(given) != count:
        raise InputError(
            f"labels of type {given.dtype} and length {len(given)} do not go with {count} images."
        )
    found = given.numpy()  # torch has no minimum of its larger unsigned types
    if count and not (found.min() >= -1 and found.max() < len(spec.classes)):
        raise InputError(
            f"labels lie in {found.min()}..{found.max()}; the model knows -1 (unknown) and "
            f"0..{len(spec.classes) - 1}."
        )
    return given.to(torch.int64).contiguous()
