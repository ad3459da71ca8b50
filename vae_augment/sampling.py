"""Which class and which latent the i-th generated image has: functions of the seed and i, never a stored array.

Without torch, which costs a generating process most of its memory and of its start.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .noise import Stream, normals, uniforms
from .spec import Latents, Spec

UNKNOWN = -1
Class = int | str
Labels = str | int | Sequence[Class] | Mapping[Class, float]


@dataclass(frozen=True)
class LabelPolicy:
    """Classes to go through in turn or, with `cumulative` weights, to draw from."""

    choices: tuple[int, ...]
    cumulative: tuple[float, ...] | None = None

    def at(self, index: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """The labels of the images at `index`, int64."""
        choices = np.asarray(self.choices, np.int64)
        if self.cumulative is None:
            return choices[np.asarray(index) % len(choices)]
        drawn = uniforms(seed, Stream.LABEL, 0, index, 1)[:, 0]
        return choices[np.searchsorted(self.cumulative[:-1], drawn, side="right")]


def parse_labels(labels: Labels | LabelPolicy, spec: Spec) -> LabelPolicy:
    """Turn what a user may say into a policy.

    Args:
        labels: "balanced" (all classes in turn), a class (index or name), a list of classes to go through in turn, or
            a mapping from classes to weights. A policy stays what it is.

    Raises:
        InputError: a class that the model does not know, or weights that are not.
    """
    if isinstance(labels, LabelPolicy):
        return labels
    if isinstance(labels, str) and labels == "balanced":
        return LabelPolicy(tuple(range(len(spec.classes))) if spec.generates_classes else (UNKNOWN,))
    if not spec.generates_classes:
        raise InputError(f"labels={labels!r} was asked for, but this model does not know classes. Leave labels out.")
    if isinstance(labels, Mapping):
        return _weighted(labels, spec)
    wanted = [labels] if isinstance(labels, int | str | np.integer) else list(labels)
    if not wanted:
        raise InputError("labels is empty. Give at least one class, or 'balanced'.")
    return LabelPolicy(tuple(class_index(item, spec) for item in wanted))


def class_index(item: Class, spec: Spec) -> int:
    """The index of a class given by index or name; `InputError` when there is none."""
    if isinstance(item, str) and item in spec.classes:
        return spec.classes.index(item)
    if isinstance(item, int | np.integer) and not isinstance(item, bool) and 0 <= item < len(spec.classes):
        return int(item)
    near = difflib.get_close_matches(str(item), spec.classes, n=1)
    raise InputError(
        f"There is no class {item!r}; the model knows 0..{len(spec.classes) - 1}: {', '.join(spec.classes[:20])}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def _weighted(labels: Mapping[Class, float], spec: Spec) -> LabelPolicy:
    weights = list(labels.values())
    if not weights or not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
        raise InputError(f"The class weights are {labels}; they must be finite, at least 0, and not all 0.")
    cumulative = np.cumsum(weights)
    return LabelPolicy(tuple(class_index(item, spec) for item in labels), tuple((cumulative / cumulative[-1]).tolist()))


def draw(
    spec: Spec, policy: LabelPolicy, index: NDArray[np.int64], seed: int, epoch: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The latents [B, D] and labels [B] of the generated images at `index` [B], which a decoder makes images of."""
    labels = policy.at(index, seed)
    return draw_latents(spec.latents, spec.latent_dim, labels, index, seed, epoch), labels


def draw_latents(
    latents: Latents | None, dim: int, labels: NDArray[np.int64], index: NDArray[np.int64], seed: int, epoch: int
) -> NDArray[np.float32]:
    """Latents for generation, [B, D]; row r is a function of (labels[r], index[r], seed, epoch) alone.

    They come from the mixture of the label's group, or from N(0, I) when the model carries none.
    """
    noise = normals(seed, Stream.LATENT, epoch, index, dim)
    if latents is None:
        return noise.astype(np.float32)
    choice = uniforms(seed, Stream.COMPONENT, epoch, index, 1)[:, 0]
    return draw_latents_with(latents, labels, choice, noise)


def draw_latents_with(
    latents: Latents | None, labels: NDArray[np.int64], choice: NDArray[np.floating], noise: NDArray[np.floating]
) -> NDArray[np.float32]:
    """`draw_latents` with the random part given: `choice` [B] uniform in (0, 1), `noise` [B, D] standard normal."""
    if latents is None:
        return noise.astype(np.float32)
    group = np.maximum(labels, 0)  # a model without classes has the one group 0
    cumulative = latents.weights[group].cumsum(axis=1, dtype=np.float64)
    component = (choice[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
    means, scales = latents.means[group, component], latents.scales[group, component]
    # Summed row by row, so that a row does not depend on how many others there are.
    return (means + (scales * noise[:, None, :]).sum(axis=2)).astype(np.float32)
