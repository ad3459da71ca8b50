"""Which labels a dataset lacks for its classes to be equally frequent."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ..arguments import UNKNOWN, one_per_image, whole_number
from ..errors import InputError
from ..model.sampling import Class


def top_up(targets: Sequence[Class] | NDArray[Any], to: int | None = None) -> list[Class]:
    """The labels that `targets` lack for each class to have at least `to` items.

    They serve as `labels` of `VAESyntheticDataset`.

    >>> top_up([0, 0, 0, 1, 2, 2])
    [1, 1, 2]

    Args:
        targets: the labels of a dataset, one per item: class indices, whole floats or names, as a
            list, array or tensor [N] or [N, 1]. Classes that do not occur in them get none, nor
            does -1.
        to: the number of items per class, real and synthetic together; None = as many as the
            largest class has.

    Raises:
        InputError: several numbers per item, `to` no integer, or every class has as many already.
    """
    labels = one_per_image(targets)
    if not len(labels):
        raise InputError("There are no targets; give one label per item.")
    counts = Counter(labels.tolist())
    known = {name: counts[name] for name in sorted(counts.keys() - {UNKNOWN})}
    most = max(known.values(), default=0) if to is None else whole_number("to", to)
    missing = [name for name, count in known.items() for _ in range(most - count)]
    if not missing:
        raise InputError(
            f"Each class has {most} targets or more already, so nothing is missing. Give a higher "
            "to=."
        )
    return missing
