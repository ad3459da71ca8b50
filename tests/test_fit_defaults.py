"""What `fit` does when a user gives no more than images: enough updates, a verdict, and refusals before any work."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vae_augment.cli import app
from vae_augment.training import FitConfig, ImageData, fit, judge, load_checkpoint, verdict
from vae_augment.training.networks import VAE
from vae_augment.training.trainer import Trainer

SHAPES = ("circle", "cross", "square")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def shapes(count: int, side: int = 32, channels: int = 3) -> ImageData:
    """Circles, crosses and squares of any colour, size and place on a dark ground of any colour."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = []
    for index in range(count):
        radius, down, right = side * (torch.tensor([0.15, 0.35, 0.35]) + 0.2 * torch.rand(3, generator=generator))
        dy, dx = (y - down).abs(), (x - right).abs()
        furthest = torch.maximum(dy, dx)
        cross = (torch.minimum(dy, dx) < radius / 3) & (furthest < radius)
        inside = (torch.hypot(dy, dx) < radius, cross, furthest < 0.85 * radius)[index % 3]
        bright, dark = torch.rand(2, channels, 1, 1, generator=generator)
        images.append(torch.where(inside, 0.5 + bright / 2, dark / 2))
    return ImageData("shapes", (255 * torch.stack(images)).to(torch.uint8), torch.arange(count) % 3, SHAPES)


@pytest.mark.parametrize(
    ("images", "updates"),
    [(1, 1500), (100, 1500), (300, 1608), (1_000, 2400), (10_000, 5171), (60_000, 9396), (1_000_000, 24_000)],
)
def test_the_default_number_of_updates_grows_with_the_images(images: int, updates: int) -> None:
    config = FitConfig()
    per_epoch = math.ceil(images / config.batch_size)
    epochs = config.for_images(images).epochs
    assert epochs
    assert (epochs - 1) * per_epoch < updates <= epochs * per_epoch
    assert replace(config, epochs=7).for_images(images).epochs == 7


def test_held_out_images_do_not_count_and_patience_grows_with_the_epochs() -> None:
    trainer = Trainer(shapes(40, 8, 1), FitConfig(width="small", batch_size=10, held_out=0.25))
    assert (trainer.facts["epochs"], trainer.facts["patience"]) == (500, 50)
    assert FitConfig(epochs=3).for_images(40).patience == 10


def test_a_dead_model_is_called_poor(tmp_path: Path) -> None:
    for index, image in enumerate(shapes(30).images):
        folder = tmp_path / "mine" / SHAPES[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    path = tmp_path / "a.safetensors"
    code, text = run("fit", tmp_path / "mine", "-o", path, "--conditional", "--epochs", 2, "--width", "small")
    assert code == 0
    assert "warning: Reconstructions have " in text
    assert "That is poor" in text
    assert "Train longer (--epochs above 2)" in text
    facts = load_checkpoint(path).spec.training
    assert facts["reconstruction_error"] > 0.9 * facts["mean_image_error"]


def test_the_judgement_against_its_definition() -> None:
    data, network = shapes(50, 8, 1), VAE("mlp", (1, 8, 8), 4).eval()
    network.mean.weight.data.zero_()
    network.logvar.weight.data.zero_()
    network.logvar.bias.data.zero_()
    network.mean.bias.data = torch.tensor([0.0, 0.1, 1.0, -1.0])  # KL 0, 0.005, 0.5, 0.5
    facts = judge(network, data)
    assert facts["dimensions_in_use"] == 2
    images = data.images / 255
    assert facts["mean_image_error"] == pytest.approx(images.var(0, correction=0).mean().item(), abs=2e-6)
    error = (network.decode(network.mean.bias[None]) - images).square().mean()
    assert facts["reconstruction_error"] == pytest.approx(error.item(), abs=2e-6)


@pytest.mark.parametrize(("error", "used", "is_poor"), [(0.02, 20, False), (0.09, 20, True), (0.02, 0, True)])
def test_verdict(error: float, used: int, is_poor: bool) -> None:
    facts = {"reconstruction_error": error, "mean_image_error": 0.1, "dimensions_in_use": used, "latent_dim": 20}
    text, poor = verdict(facts | {"epochs": 20})
    assert poor is is_poor
    assert text.startswith(f"Reconstructions have {error / 0.1:.0%} of the mean image's squared error; {used} of 20 ")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", [lambda: shapes(300), lambda: shapes(1000, 8, 1), lambda: shapes(100, 8, 1)])
def test_the_defaults_train_a_usable_model(make: Callable[[], ImageData], tmp_path: Path) -> None:
    facts = fit(make(), tmp_path / "a.safetensors", FitConfig(conditional=True)).spec.training
    assert facts["reconstruction_error"] < 0.6 * facts["mean_image_error"]
    assert facts["dimensions_in_use"] >= 5
    assert not verdict(facts)[1]
