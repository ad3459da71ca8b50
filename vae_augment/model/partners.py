"""Partners for interpolation and extrapolation: latents of other images of a class."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..noise import Stream, normals, uniforms
from .latents import Latents
from .sampling import UNKNOWN, draw_latents
from .spec import Spec

PER_CLASS = 64
WITHOUT_CLASSES = 512


class Partners(NamedTuple):
    """Latents of N images, on the CPU.

    A conditional model encodes an image elsewhere when it is given the label, so there are two.
    """

    without_label: Tensor  # [N, D]
    given_label: Tensor  # [N, D]
    labels: Tensor  # [N] int64, -1 = unknown


def partners_of(spec: Spec, forget_label: Callable[[Tensor, Tensor], Tensor]) -> Partners | None:
    """The partners that a model offers; None where it has no distribution of latents.

    They are drawn from the distribution of each class, always the same ones, so that the file needs
    no latent of a training image. A file that keeps such latents, its bank, offers those.

    Args:
        spec: of the model.
        forget_label: latents [N, D] of a conditional model, which were encoded with the labels [N],
            -> latents of the same images encoded without them.
    """
    latents = spec.latents
    if latents is None:
        return None
    if len(latents.bank):
        arrays = latents.bank, latents.bank_given_label, latents.bank_labels
        return Partners(*map(torch.from_numpy, arrays))
    labels = _labels(latents, bool(spec.classes))
    given_label = torch.from_numpy(_drawn(latents, labels))
    known = torch.from_numpy(labels)
    without_label = forget_label(given_label, known) if spec.conditional else given_label
    return Partners(without_label, given_label, known)


def _labels(latents: Latents, has_classes: bool) -> np.ndarray:
    if not has_classes:
        return np.full(WITHOUT_CLASSES, UNKNOWN)
    return np.arange(len(latents.weights)).repeat(PER_CLASS)


def _drawn(latents: Latents, labels: np.ndarray) -> np.ndarray:
    index = np.arange(len(labels))
    choice = uniforms(0, Stream.COMPONENT, 0, index, 1)[:, 0]
    noise = normals(0, Stream.LATENT, 0, index, latents.means.shape[2])
    return draw_latents(latents, labels, choice, noise)
