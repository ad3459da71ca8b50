"""How good a network is, in numbers and in words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.helpers import run_command as run
from tests.training.helpers import SHAPES, shapes
from vae_augment.training import (
    Epoch,
    FitConfig,
    ImageData,
    describe_quality,
    fit,
    load_checkpoint,
)
from vae_augment.training.networks import build_network


def test_a_dead_model_is_called_poor(tmp_path: Path) -> None:
    for index, image in enumerate(shapes(30, 8, 3).images):
        folder = tmp_path / "mine" / SHAPES[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    path = tmp_path / "a.safetensors"
    code, text = run(
        "fit",
        tmp_path / "mine",
        "-o",
        path,
        "--conditional",
        "--epochs",
        2,
        "--network",
        "conv-small",
    )
    assert code == 0
    assert "warning: Reconstructions have " in text
    assert "That is poor" in text
    assert "Train longer (--epochs above 2)" in text
    facts = load_checkpoint(path).spec.training
    assert facts["reconstruction_error"] > 0.9 * facts["mean_image_error"]
    code, text = run("export", path, "-o", tmp_path / "a.onnx")
    assert code == 0
    assert "warning: Reconstructions have " in text
    code, text = run("info", tmp_path / "a.onnx")
    assert code == 0
    assert "quality     Reconstructions have " in text


def test_the_quality_against_its_definition() -> None:
    data, network = shapes(50, 8, 1), build_network((1, 8, 8), 4, network="mlp").eval()
    network.mean.weight.data.zero_()
    network.logvar.weight.data.zero_()
    network.logvar.bias.data.zero_()
    network.mean.bias.data = torch.tensor([0.0, 0.1, 1.0, -1.0])  # KL 0, 0.005, 0.5, 0.5
    facts = network.measure_quality(data)
    assert facts["dimensions_in_use"] == 2
    images = data.images / 255
    assert facts["mean_image_error"] == pytest.approx(
        images.var(0, correction=0).mean().item(), abs=2e-6
    )
    error = (network.decode(network.mean.bias[None]) - images).square().mean()
    assert facts["reconstruction_error"] == pytest.approx(error.item(), abs=2e-6)


def test_an_unfinished_run_is_called_so(tmp_path: Path) -> None:
    data, path = shapes(20, 8, 1), tmp_path / "a.safetensors"

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:  # the first save is after the first epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(data, path, FitConfig(network="mlp", epochs=30), report=stop)
    quality = describe_quality(load_checkpoint(path).spec.training)
    assert quality is not None
    assert quality.is_poor
    assert quality.text.startswith("Training did not finish: 1 epochs were run")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {
            "reconstruction_error": "much",
            "mean_image_error": 1.0,
            "dimensions_in_use": 2,
            "latent_dim": 4,
            "epochs": 5,
        },
        {
            "reconstruction_error": 10**400,
            "mean_image_error": 1,
            "dimensions_in_use": 2,
            "latent_dim": 4,
            "epochs": 5,
        },
        {
            "reconstruction_error": 0.1,
            "mean_image_error": 1,
            "dimensions_in_use": [],
            "latent_dim": 4,
            "epochs": 5,
        },
    ],
)
def test_facts_that_are_missing_or_strange_say_nothing_of_the_quality(
    facts: dict[str, Any],
) -> None:
    assert describe_quality(facts) is None


@pytest.mark.parametrize(
    ("error", "used", "is_poor"), [(0.02, 20, False), (0.09, 20, True), (0.02, 0, True)]
)
def test_the_quality_in_words(error: float, used: int, is_poor: bool) -> None:
    facts = {
        "reconstruction_error": error,
        "mean_image_error": 0.1,
        "dimensions_in_use": used,
        "latent_dim": 20,
    }
    quality = describe_quality(facts | {"epochs": 20})
    assert quality is not None
    assert quality.is_poor is is_poor
    assert quality.text.startswith(
        f"Reconstructions have {error / 0.1:.0%} of the mean image's squared error; {used} of 20 "
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "make", [lambda: shapes(300, 10), lambda: shapes(1000, 8, 1), lambda: shapes(100, 8, 1)]
)
def test_the_defaults_train_a_usable_model(make: Callable[[], ImageData], tmp_path: Path) -> None:
    facts = fit(make(), tmp_path / "a.safetensors", FitConfig(conditional=True)).spec.training
    assert facts["reconstruction_error"] < 0.6 * facts["mean_image_error"]
    assert (
        facts["dimensions_in_use"] >= 3
    )  # place, size and brightness; 4 were in use for 1,000 images of 8x8
    quality = describe_quality(facts)
    assert quality is not None
    assert not quality.is_poor
