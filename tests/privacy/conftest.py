"""A file that repeats its 60 training images, and one of images that count as public."""

from pathlib import Path

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.exporters import export
from vae_augment.training import FitConfig, ImageData, fit


def exported(data: ImageData, config: FitConfig, path: Path) -> VAEModel:
    """The model that fits `data`, from a file whose path is `path` with an ending."""
    fit(data, path.with_suffix(".safetensors"), config)
    export(path.with_suffix(".safetensors"), path.with_suffix(".onnx"))
    return load(path.with_suffix(".onnx"), provider="cpu")


@pytest.fixture(scope="session")
def few_digits(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(60))


@pytest.fixture(scope="session")
def copying_model(few_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    config = FitConfig(network="mlp", beta=0.001, epochs=700, batch_size=60, conditional=False)
    return exported(few_digits, config, tmp_path_factory.mktemp("copying") / "copying")


@pytest.fixture(scope="session")
def public_digits(digits: ImageData) -> ImageData:
    """Images that the tests call public."""
    return digits.subset(torch.arange(600))


@pytest.fixture(scope="session")
def public_base(public_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    config = FitConfig(network="mlp", latent_dim=8, beta=0.2, epochs=60, conditional=False)
    return exported(public_digits, config, tmp_path_factory.mktemp("base") / "base")
