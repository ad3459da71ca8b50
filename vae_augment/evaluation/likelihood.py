"""Likelihood of a model: the ELBO, and the importance-weighted bound, which is closer to log p(x).

p(x) is the density of the images that the model generates, with labels summed out with equal
weights.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.nn import functional as F
from tqdm import tqdm

from ..errors import InputError
from ..model.latents import Latents
from ..model.posterior import perturb
from ..model.sampling import UNKNOWN
from ..model.vae_model import VAEModel

_SCREENING_SAMPLES = 20
_NEGLIGIBLE = 10.0  # nats below the best label: such a label adds less than 0.0001


class Likelihood(NamedTuple):
    """Estimates in nats per image; lower is better.

    Attributes:
        negative_elbo: minus the evidence lower bound.
        negative_bound: minus the importance-weighted bound (Burda et al., "Importance weighted
            autoencoders", 2016, equation 8).
        standard_error: of `negative_bound`, over the images.
        images: their number.
        samples: K of the bound.
    """

    negative_elbo: float
    negative_bound: float
    standard_error: float
    images: int
    samples: int


def likelihood(
    model: VAEModel,
    images: Tensor,
    *,
    samples: int = 100,
    binarisation: str = "dynamic",
    seed: int = 0,
) -> Likelihood:
    """Estimate the likelihood of images under `model`.

    Args:
        model: the VAE.
        images: [N, C, H, W] in [0, 1].
        samples: K of the importance-weighted bound.
        binarisation: "dynamic" (each pixel is 1 with its grey level as probability), "threshold"
            (at one half) or "none" (grey levels as targets: a cross-entropy, not the likelihood of
            binary data).
        seed: of the binarisation and of the samples.

    Raises:
        InputError: an unknown binarisation, or fewer than one sample.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; it must be at least 1.")
    generator = torch.Generator().manual_seed(seed)
    targets = binarise(images, binarisation, generator)
    bar = tqdm(targets, unit="image", disable=None)
    pairs = [_of_image(model, target[None], samples, generator) for target in bar]
    elbo, bound = torch.tensor(pairs, dtype=torch.float64).T
    error = bound.std().item() / math.sqrt(len(bound)) if len(bound) > 1 else math.nan
    return Likelihood(-elbo.mean().item(), -bound.mean().item(), error, len(targets), samples)


def binarise(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Images in [0, 1] -> images of zeros and ones; unchanged for "none"."""
    if how == "none":
        return images
    if how == "threshold":
        return (images >= 0.5).float()
    if how == "dynamic":
        return torch.bernoulli(images, generator=generator)
    raise InputError(f"binarisation is {how!r}; choose one of dynamic, threshold, none.")


def _of_image(
    model: VAEModel, image: Tensor, samples: int, generator: torch.Generator
) -> tuple[float, float]:
    """ELBO and bound of one image [1, C, H, W], its labels summed out."""
    labels = range(len(model.spec.classes)) if model.spec.conditional else [UNKNOWN]
    screened = {
        label: _bounds(model, image, label, _SCREENING_SAMPLES, generator)[1] for label in labels
    }
    least = max(screened.values()) - _NEGLIGIBLE
    # Without the other labels the bound is lower, so it is still a bound.
    likely = [label for label, bound in screened.items() if bound > least]
    by_label = torch.stack([_bounds(model, image, label, samples, generator) for label in likely])
    elbo, bound = (by_label.logsumexp(0) - math.log(len(labels))).tolist()
    return elbo, bound


def _bounds(
    model: VAEModel, image: Tensor, label: int, samples: int, generator: torch.Generator
) -> Tensor:
    """ELBO and importance-weighted bound of an image with one label, [2] float64."""
    weights = _log_weights(model, image, label, samples, generator)
    return torch.stack([weights.mean(), weights.logsumexp(0) - math.log(samples)])


def _log_weights(
    model: VAEModel, image: Tensor, label: int, samples: int, generator: torch.Generator
) -> Tensor:
    """log p(x|z,y) + log p(z|y) - log q(z|x,y) of latents z from q, [samples] float64."""
    mean, logvar = (moment.double() for moment in model.encode(image, [label]))
    noise = torch.randn(samples, mean.shape[1], generator=generator, dtype=torch.float64)
    latent = perturb(mean, logvar, noise, 1.0)
    posterior = _log_standard_normal(noise) - 0.5 * logvar.sum(1)
    decoded = model.decode(latent.float(), [label] * samples)
    costs = F.binary_cross_entropy(decoded, image.expand_as(decoded), reduction="none")
    likelihood = -costs.flatten(1).sum(1, dtype=torch.float64)
    return likelihood + log_prior(model.spec.latents, label, latent) - posterior


def log_prior(latents: Latents | None, label: int, latent: Tensor) -> Tensor:
    """log p(z) [B] of latents [B, D].

    By the label's mixture, all mixtures if it is unknown, or N(0, I) without any.
    """
    if latents is None:
        return _log_standard_normal(latent)
    groups = range(len(latents.weights)) if label == UNKNOWN else [label]
    densities = torch.stack([_mixture(latents, group).log_prob(latent) for group in groups])
    return densities.logsumexp(0) - math.log(len(groups))


def _mixture(latents: Latents, group: int) -> MixtureSameFamily:
    used = latents.weights[group] > 0
    weights, means, scales = (
        torch.from_numpy(array[group][used]).double()
        for array in (latents.weights, latents.means, latents.scales)
    )
    return MixtureSameFamily(Categorical(weights), MultivariateNormal(means, scale_tril=scales))


def _log_standard_normal(points: Tensor) -> Tensor:
    """log N(0, I) of points whose coordinates run along dimension 1."""
    return -0.5 * (points.square() + math.log(2 * math.pi)).sum(1)
