"""The coordinates in which private latents are clipped and noised, from the public base alone."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..model.vae_model import VAEModel
from .accounting import Numbers

SAMPLES = 4_000  # of the base, from which its latents are known
PROBES = 200  # samples that each axis is tried on
LEAST_EFFECT = 0.01  # of an axis on the pixels, over the largest; axes below it are left out


class PublicSpace(NamedTuple):
    """Axes of latents [D], of which K are kept, the one that changes images most first.

    Coordinates are u = a (z - centre) / deviation along each axis, with weights a whose squares
    are proportional to the effect of one deviation on the pixels. For noise of one size on every
    coordinate and a bound on the norm of u, this gives the least error in pixels: the sum of
    (effect / a)^2 at a fixed sum of a^2.

    Attributes:
        centre: [D].
        to_coordinates: [D, K].
        to_latents: [K, D].
        left_out: [D, D], covariance of the axes that are left out, as among public images.
    """

    centre: Numbers
    to_coordinates: Numbers
    to_latents: Numbers
    left_out: Numbers

    @property
    def size(self) -> int:
        """How many axes are kept."""
        return len(self.to_latents)

    def coordinates(self, latents: Numbers) -> Numbers:
        """Latents [N, D] -> coordinates [N, K]; their mean squared norm over the base is K."""
        return (latents - self.centre) @ self.to_coordinates

    def latents(self, mean: Numbers, covariance: Numbers) -> tuple[Numbers, Numbers]:
        """A mean [K] and a covariance [K, K] of coordinates as those of latents, [D] and [D, D]."""
        wide = self.to_latents.T @ covariance @ self.to_latents
        return mean @ self.to_latents + self.centre, wide + self.left_out


def public_space(base: VAEModel, most: int) -> PublicSpace:
    """The coordinates for a base, with at most `most` axes. No private image is seen.

    Where the base's latents lie is learnt from images that it generates.
    """
    images, _ = base.sample(SAMPLES)
    latents = base.encode(images)[0].double().numpy()
    centre = latents.mean(0)
    variance, axes = np.linalg.eigh(np.cov(latents.T).reshape(len(centre), -1))
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    effect = _effects(base, latents[:PROBES], axes * deviation)
    order = np.argsort(-effect)[:most]
    kept = order[effect[order] > LEAST_EFFECT * effect.max()]
    dropped = np.setdiff1d(np.arange(len(centre)), kept)
    weight = np.sqrt(effect[kept] / effect[kept].mean())
    spread = axes[:, dropped] * deviation[dropped]
    return PublicSpace(
        centre=centre,
        to_coordinates=axes[:, kept] * weight / deviation[kept],
        to_latents=(axes[:, kept] * deviation[kept] / weight).T,
        left_out=spread @ spread.T,
    )


def _effects(base: VAEModel, latents: Numbers, steps: Numbers) -> Numbers:
    """By how much one step along each axis, a column of `steps` [D, D], changes images, [D]."""
    found = []
    for step in steps.T:
        ahead, behind = (base.decode(_float(latents + sign * step / 2)) for sign in (1, -1))
        found.append((ahead - behind).square().sum((1, 2, 3)).mean().sqrt().item())
    return np.array(found)


def _float(latents: Numbers) -> Tensor:
    return torch.from_numpy(latents).float()
