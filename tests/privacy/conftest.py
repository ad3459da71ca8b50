"""A file that repeats its 60 training images."""

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.exporters import export
from vae_augment.training import FitConfig, ImageData, fit


@pytest.fixture(scope="session")
def few_digits(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(60))


@pytest.fixture(scope="session")
def copying_model(few_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    folder = tmp_path_factory.mktemp("copying")
    config = FitConfig(network="mlp", beta=0.001, epochs=700, batch_size=60, conditional=False)
    fit(few_digits, folder / "copying.safetensors", config)
    export(folder / "copying.safetensors", folder / "copying.onnx")
    return load(folder / "copying.onnx", provider="cpu")


@pytest.fixture(scope="session")
def public_digits(digits: ImageData) -> ImageData:
    """Images that the tests call public."""
    return digits.subset(torch.arange(600))


@pytest.fixture(scope="session")
def public_base(public_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    folder = tmp_path_factory.mktemp("base")
    config = FitConfig(network="mlp", latent_dim=8, beta=0.2, epochs=60, conditional=False)
    fit(public_digits, folder / "base.safetensors", config)
    export(folder / "base.safetensors", folder / "base.onnx")
    return load(folder / "base.onnx", provider="cpu")
