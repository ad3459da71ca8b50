"""One tiny VAE for all tests: scikit-learn's digits, 1x8x8, conditional, trained for two epochs."""

from pathlib import Path

import pytest
from vae_augment.exporters import export

from vae_augment.training import FitConfig, fit, load_data


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "digits.safetensors"
    fit(load_data("digits"), path, FitConfig(width="small", conditional=True, epochs=2))
    return path


@pytest.fixture(scope="session")
def tiny_model_path(tiny_checkpoint: Path) -> Path:
    path = tiny_checkpoint.with_suffix(".onnx")
    export(tiny_checkpoint, path)
    return path
