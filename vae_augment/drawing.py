"""New latents by class. Without torch, which costs a generating process most of its memory and of its start."""

import numpy as np
from numpy.typing import NDArray

from .noise import Stream, normals, uniforms
from .spec import Latents


def draw(
    latents: Latents | None, dim: int, labels: NDArray[np.int64], index: NDArray[np.int64], seed: int, epoch: int
) -> NDArray[np.float32]:
    """Latents for generation, [B, D]; row r is a function of (labels[r], index[r], seed, epoch) alone.

    They come from the mixture of the label's group, or from N(0, I) when the model carries none.
    """
    noise = normals(seed, Stream.LATENT, epoch, index, dim)
    if latents is None:
        return noise.astype(np.float32)
    choice = uniforms(seed, Stream.COMPONENT, epoch, index, 1)[:, 0]
    return draw_with(latents, labels, choice, noise)


def draw_with(
    latents: Latents | None, labels: NDArray[np.int64], choice: NDArray[np.floating], noise: NDArray[np.floating]
) -> NDArray[np.float32]:
    """`draw` with the random part given: `choice` [B] uniform in (0, 1), `noise` [B, D] standard normal."""
    if latents is None:
        return noise.astype(np.float32)
    group = np.maximum(labels, 0)  # a model without classes has the one group 0
    cumulative = latents.weights[group].cumsum(axis=1, dtype=np.float64)
    component = (choice[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
    means, scales = latents.means[group, component], latents.scales[group, component]
    # Summed row by row, so that a row does not depend on how many others there are.
    return (means + (scales * noise[:, None, :]).sum(axis=2)).astype(np.float32)
