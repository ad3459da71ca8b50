"""The fully connected and the convolutional network, and the terms of their objective."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.helpers import DATA, needs_mnist
from vae_augment.model.posterior import kl_divergence
from vae_augment.training import (
    FitConfig,
    fit,
    load_data,
)
from vae_augment.training.networks import build_network


def test_mlp_has_the_classic_layers() -> None:
    shapes = {
        name: tuple(value.shape)
        for name, value in build_network((1, 28, 28), 20, network="mlp").named_parameters()
        if value.ndim == 2
    }
    assert sorted(shapes.values()) == sorted(
        [(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)]
    )


@pytest.mark.parametrize("network", ["mlp", "conv-small", "energy-small"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 9, 13)])
def test_networks_take_any_shape(network: str, shape: tuple[int, int, int]) -> None:
    model = build_network(shape, 20, network=network, classes=3)
    image = torch.rand(2, *shape)
    mean, logvar = model.encode(image, torch.tensor([-1, 2]))
    assert mean.shape == logvar.shape == (2, 20)
    decoded = model.decode(mean, torch.tensor([-1, 2]))
    assert decoded.shape == image.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_unknown_label_is_a_zero_vector_and_labels_matter() -> None:
    model = build_network((1, 8, 8), 4, network="conv-small", classes=3)
    latent = torch.zeros(1, 4)
    assert torch.equal(model.decode(latent), model.decode(latent, torch.tensor([-1])))
    assert not torch.equal(model.decode(latent), model.decode(latent, torch.tensor([2])))


def test_elbo_terms_against_their_definitions() -> None:
    model = build_network((1, 8, 8), 5, network="mlp")
    image, noise = torch.rand(4, 1, 8, 8), torch.randn(4, 5)
    terms = model(image, image, None, noise)
    mean, logvar = model.encode(image)
    decoded = model.decode(mean + (logvar / 2).exp() * noise)
    expected = F.binary_cross_entropy(decoded, image, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(terms.reconstruction, expected)
    posterior = torch.distributions.Normal(mean, (logvar / 2).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(terms.kl, torch.distributions.kl_divergence(posterior, prior).sum(1))
    assert kl_divergence(torch.zeros(1, 5), torch.zeros(1, 5)).item() == 0


@pytest.mark.slow
@needs_mnist
@pytest.mark.timeout(900)
def test_classic_network_reaches_the_classic_loss(tmp_path: Path) -> None:
    """Grey-level cross-entropy plus KL of MNIST's test images after ten epochs.

    The classic script's 105 to 106.
    """
    config = FitConfig(network="mlp", epochs=10, conditional=False)
    model = fit(load_data("mnist", DATA), tmp_path / "mlp.safetensors", config).build()
    test = load_data("mnist", DATA, train=False).images.float() / 255
    with torch.inference_mode():
        terms = model(test, test, None, torch.randn(len(test), 20))
    loss = (terms.reconstruction + terms.kl).mean().item()
    assert loss <= 106.0, loss
