"""One tiny VAE, trained by the tests themselves on scikit-learn's digits (1x8x8), serves them all."""

import functools
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.exporters import export
from vae_augment.model.evidence import write_metadata
from vae_augment.training import FitConfig, ImageData, fit, load_data

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # several test processes would only take the cores from each other
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _operators_listed_once() -> Iterator[None]:
    """torch lists the operators of ONNX for each export, in a quarter of the time of a small one."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:  # before torch 2.5
        yield
        return
    listed = functools.cache(ONNXRegistry.from_torchlib)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(listed))
        yield


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_data("digits")


@pytest.fixture(scope="session")
def tiny_checkpoint(digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "digits.safetensors"
    fit(digits, path, FitConfig(network="conv-small", conditional=True, epochs=2, beta=1.0))
    return path


@pytest.fixture(scope="session")
def tiny_model_path(tiny_checkpoint: Path) -> Path:
    path = tiny_checkpoint.with_suffix(".onnx")
    export(tiny_checkpoint, path)
    return path


@pytest.fixture(scope="session")
def bare_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same file without evidence, which a changed graph would make a lie."""
    model = onnx.load(tiny_model_path)
    spec = replace(load(tiny_model_path).spec, evidence={})
    write_metadata(model, spec)
    path = tmp_path_factory.mktemp("bare") / "digits.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def tiny_model(tiny_model_path: Path) -> VAEModel:
    return load(tiny_model_path, provider="cpu")
