"""The likelihood against an integral that can be done by other means."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_augment import VAEModel
from vae_augment.errors import InputError
from vae_augment.evaluation.likelihood import binarise, likelihood, log_prior
from vae_augment.model.latents import Latents
from vae_augment.model.spec import Spec
from vae_augment.training import ImageData
from vae_augment.training.data.image_data import to_float


class OnePixel:
    """p(x = 1 | z, y) = sigmoid(2 z + y), z in one dimension.

    The posterior is only roughly right.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def encode(self, images: Tensor, labels: list[int]) -> tuple[Tensor, Tensor]:
        return images.flatten(1) - 0.5, torch.full((len(images), 1), -0.2)

    def decode(self, latent: Tensor, labels: list[int]) -> Tensor:
        return (2 * latent + torch.tensor(labels, dtype=torch.float32)[:, None]).sigmoid()[
            :, :, None, None
        ]


def one_gaussian(groups: int) -> Latents:
    """z ~ N(0.3, 0.8^2) in every group."""
    return Latents(
        weights=np.ones((groups, 1), np.float32),
        means=np.full((groups, 1, 1), 0.3, np.float32),
        scales=np.full((groups, 1, 1, 1), 0.8, np.float32),
        bank=np.zeros((0, 1), np.float32),
        bank_given_label=np.zeros((0, 1), np.float32),
        bank_labels=np.zeros(0, np.int64),
    )


def exact(x: float, label: int, mean: float, std: float) -> float:
    z = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    prior = torch.distributions.Normal(mean, std).log_prob(z).exp()
    on = (2 * z + label).sigmoid()
    return float(torch.trapezoid(prior * (on if x else 1 - on), z))


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bound_meets_the_integral_with_labels_summed_out(x: float) -> None:
    spec = Spec((1, 1, 1), 1, classes=("a", "b"), conditional=True, latents=one_gaussian(2))
    result = likelihood(OnePixel(spec), torch.full((1, 1, 1, 1), x), samples=20_000)  # type: ignore[arg-type]
    expected = -math.log((exact(x, 0, 0.3, 0.8) + exact(x, 1, 0.3, 0.8)) / 2)
    assert result.negative_bound == pytest.approx(expected, abs=0.02)
    assert result.negative_elbo > result.negative_bound


def test_a_decoder_without_labels_draws_from_the_mixtures_of_all_classes() -> None:
    latents = one_gaussian(2)
    latents.means[1] = -1.0
    spec = Spec((1, 1, 1), 1, classes=("a", "b"), latents=latents)
    result = likelihood(OnePixel(spec), torch.ones(1, 1, 1, 1), samples=20_000)  # type: ignore[arg-type]
    expected = -math.log((exact(1.0, -1, 0.3, 0.8) + exact(1.0, -1, -1.0, 0.8)) / 2)
    assert result.negative_bound == pytest.approx(expected, abs=0.02)


def test_without_latents_the_prior_is_standard_normal() -> None:
    result = likelihood(OnePixel(Spec((1, 1, 1), 1)), torch.ones(1, 1, 1, 1), samples=20_000)  # type: ignore[arg-type]
    assert result.negative_bound == pytest.approx(-math.log(exact(1.0, -1, 0.0, 1.0)), abs=0.02)


def test_log_prior_is_the_mixture_density() -> None:
    generator = np.random.default_rng(0)
    weights = np.array([[0.2, 0.8, 0.0]], np.float32)
    means = generator.normal(size=(1, 3, 2)).astype(np.float32)
    scales = np.tril(generator.uniform(0.5, 1, (1, 3, 2, 2))).astype(np.float32)
    bank = np.zeros((0, 2), np.float32)
    latents = Latents(weights, means, scales, bank, bank, np.zeros(0, np.int64))
    z = torch.randn(5, 2, dtype=torch.float64)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.tensor(weights[0]).double()),
        torch.distributions.MultivariateNormal(
            torch.tensor(means[0]).double(), scale_tril=torch.tensor(scales[0]).double()
        ),
    )
    torch.testing.assert_close(log_prior(latents, 0, z), mixture.log_prob(z), atol=1e-6, rtol=0)


def test_binarisations() -> None:
    grey = torch.full((1, 1, 100, 100), 0.3)
    generator = torch.Generator().manual_seed(0)
    assert binarise(grey, "dynamic", generator).mean().item() == pytest.approx(0.3, abs=0.02)
    assert binarise(grey, "threshold", generator).sum() == 0
    assert torch.equal(binarise(grey, "none", generator), grey)
    with pytest.raises(
        InputError, match="binarisation is 'static'; choose one of dynamic, threshold, none"
    ):
        binarise(grey, "static", generator)


def test_more_samples_tighten_the_bound(tiny_model: VAEModel, digits: ImageData) -> None:
    images = to_float(digits.images[:20])
    few, many = (likelihood(tiny_model, images, samples=count) for count in (1, 100))
    assert many.negative_bound < few.negative_bound
    assert many.negative_bound < many.negative_elbo
    assert likelihood(tiny_model, images, samples=1) == few
