"""The class and the latent of a generated image, from random numbers.

Without torch, which would take most of a generating process's memory and starting time.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import UNKNOWN as UNKNOWN
from ..arguments import number
from ..errors import InputError, suggestion
from ..noise import Stream, uniforms
from .facts import Facts
from .latents import Latents

MAX_CLASSES = 10_000
_PRODUCTS_PER_STEP = 1 << 20  # their memory does not grow with the batch or the latent
Class = int | str
Labels = str | int | Sequence[Class] | Mapping[Class, float]


@dataclass(frozen=True)
class LabelPolicy:
    """Classes to go through in turn or, with `cumulative` weights (up to 1), to draw from."""

    choices: tuple[int, ...]
    cumulative: tuple[float, ...] | None = None

    def at(self, index: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """The labels of the images at `index` [B], int64 [B]."""
        choices = np.asarray(self.choices, np.int64)
        if self.cumulative is None:
            return choices[np.asarray(index) % len(choices)]
        drawn = uniforms(seed, Stream.LABEL, 0, index, 1)[:, 0]
        return choices[np.searchsorted(self.cumulative[:-1], drawn, side="right")]


def parse_labels(labels: Labels | LabelPolicy, spec: Facts) -> LabelPolicy:
    """The policy for the argument `labels` of `VAESyntheticDataset`.

    `InputError` for bad classes or weights.
    """
    if isinstance(labels, LabelPolicy):
        return labels
    if isinstance(labels, str) and labels == "balanced":
        return LabelPolicy(
            tuple(range(len(spec.classes))) if spec.generates_classes else (UNKNOWN,)
        )
    if not spec.generates_classes:
        raise InputError(
            f"labels={labels!r} was asked for, but this model does not know classes. Leave labels "
            "out."
        )
    if isinstance(labels, Mapping):
        return _weighted(labels, spec)
    wanted = (
        [labels] if isinstance(labels, str) or not isinstance(labels, Iterable) else list(labels)
    )
    if not wanted:
        raise InputError("labels is empty. Give at least one class, or 'balanced'.")
    return LabelPolicy(tuple(class_index(item, spec.classes) for item in wanted))


def class_index(item: Class, classes: Sequence[str]) -> int:
    """The index of a class given by index or name; `InputError` when there is none."""
    if isinstance(item, str) and item in classes:
        return classes.index(item)
    if (
        isinstance(item, int | np.integer)
        and not isinstance(item, bool)
        and 0 <= item < len(classes)
    ):
        return int(item)
    raise InputError(
        f"There is no class {item!r}; there are 0..{len(classes) - 1}: {', '.join(classes[:20])}."
        + suggestion(item, classes)
    )


def _weighted(labels: Mapping[Class, float], spec: Facts) -> LabelPolicy:
    weights = [number("weight", weight) for weight in labels.values()]
    if not all(weight >= 0 for weight in weights) or not 0 < sum(weights) < math.inf:
        raise InputError(
            f"The class weights are {labels}; they must be at least 0, with a finite sum above 0."
        )
    cumulative = np.cumsum(weights)
    indices = tuple(class_index(item, spec.classes) for item in labels)
    return LabelPolicy(indices, tuple((cumulative / cumulative[-1]).tolist()))


def draw_latents(
    latents: Latents | None,
    labels: NDArray[np.int64],
    choice: NDArray[np.floating],
    noise: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Latents [B, D] from the mixture of each label's group; from N(0, I) where `latents` is None.

    The random numbers are `choice` [B], uniform in (0, 1), and `noise` [B, D], standard normal.
    """
    if latents is None:
        return noise.astype(np.float32)
    group = np.maximum(labels, 0)  # a model without classes has one group, number 0
    cumulative = latents.weights[group].cumsum(axis=1, dtype=np.float64)
    component = (choice[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
    drawn = latents.means[group, component]
    count = max(1, _PRODUCTS_PER_STEP // drawn.shape[1] ** 2)
    for rows in (slice(start, start + count) for start in range(0, len(drawn), count)):
        # Not by matmul, whose result for a row may depend on the number of rows.
        products = latents.scales[group[rows], component[rows]] * noise[rows, None, :]
        drawn[rows] = drawn[rows] + products.sum(axis=2)
    return drawn
