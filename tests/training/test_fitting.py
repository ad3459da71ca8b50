"""What `fit` does when a user gives no more than images.

Enough updates, a word on the quality, and refusals before any work.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vae_augment import load
from vae_augment.cli import app
from vae_augment.errors import InputError, VAEAugmentError
from vae_augment.exporters import export
from vae_augment.training import Epoch, FitConfig, ImageData, fit, load_checkpoint
from vae_augment.training.networks import build_network
from vae_augment.training.networks.base import Terms
from vae_augment.training.quality import describe_quality
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
        radius, down, right = side * (
            torch.tensor([0.15, 0.35, 0.35]) + 0.2 * torch.rand(3, generator=generator)
        )
        dy, dx = (y - down).abs(), (x - right).abs()
        furthest = torch.maximum(dy, dx)
        cross = (torch.minimum(dy, dx) < radius / 3) & (furthest < radius)
        inside = (torch.hypot(dy, dx) < radius, cross, furthest < 0.85 * radius)[index % 3]
        bright, dark = torch.rand(2, channels, 1, 1, generator=generator)
        images.append(torch.where(inside, 0.5 + bright / 2, dark / 2))
    return ImageData(
        "shapes", (255 * torch.stack(images)).to(torch.uint8), torch.arange(count) % 3, SHAPES
    )


@pytest.mark.parametrize(
    ("images", "updates"),
    [
        (1, 1500),
        (100, 1500),
        (300, 1608),
        (1_000, 2400),
        (10_000, 5171),
        (60_000, 9396),
        (1_000_000, 24_000),
    ],
)
def test_the_default_number_of_updates_grows_with_the_images(images: int, updates: int) -> None:
    config = FitConfig()
    per_epoch = math.ceil(images / config.batch_size)
    epochs = config.for_images(images).epochs
    assert epochs
    assert (epochs - 1) * per_epoch < updates <= epochs * per_epoch
    assert replace(config, epochs=7).for_images(images).epochs == 7


def test_held_out_images_do_not_count_and_patience_grows_with_the_epochs() -> None:
    trainer = Trainer(
        shapes(40, 8, 1), FitConfig(network="conv-small", batch_size=10, held_out=0.25)
    )
    assert (trainer.facts["epochs"], trainer.facts["patience"]) == (500, 50)
    assert FitConfig(epochs=3).for_images(40).patience == 10


def test_a_dead_model_is_called_poor(tmp_path: Path) -> None:
    for index, image in enumerate(shapes(30).images):
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


def test_an_unfinished_run_is_called_so_when_it_is_exported(tmp_path: Path) -> None:
    data, path = shapes(20, 8, 1), tmp_path / "a.safetensors"

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:  # the first save is after the first epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(data, path, FitConfig(network="mlp", epochs=30), report=stop)
    code, text = run("export", path, "-o", tmp_path / "a.onnx")
    assert code == 0
    assert "warning: Training did not finish: 1 epochs were run" in text


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


@pytest.mark.parametrize(
    ("classes", "shape", "settings", "message"),
    [
        (
            ("a", "b\xa0c"),
            (1, 8, 8),
            {},
            r"has the class 'b\\xa0c', which a model file cannot hold",
        ),
        (("a", "b\nc"), (1, 8, 8), {}, r"has the class 'b\\nc', which a model file cannot hold"),
        (("a", "b" * 201), (1, 8, 8), {}, "at most 200 characters"),
        (
            ("a", "a"),
            (1, 8, 8),
            {},
            "has the class 'a', which a model file cannot hold. Class names differ",
        ),
        (
            tuple(map(str, range(10_001))),
            (1, 8, 8),
            {"latent_dim": 2},
            "could not be exported: .* Use fewer classes",
        ),
        (
            tuple(f"class number {i}" for i in range(5000)),
            (1, 8, 8),
            {},
            "could not be exported: .* at most 65536",
        ),
        ((), (1, 1025, 8), {}, "could not be exported: .*image_shape"),
        ((), (1, 8, 8), {"latent_dim": 4097}, "do not fit into a model file"),
        ((), (1, 128, 384), {"network": "mlp"}, "do not fit into a model file.*--network conv"),
    ],
)
def test_what_export_would_refuse_is_refused_before_the_first_step(
    classes: tuple[str, ...],
    shape: tuple[int, ...],
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
) -> None:
    data = ImageData(
        "mine", torch.zeros(4, *shape, dtype=torch.uint8), torch.full((4,), -1), classes
    )
    config = FitConfig(**{"network": "conv-small", "epochs": 1} | settings)
    with pytest.raises(InputError, match=message):
        fit(data, tmp_path / "a.safetensors", config)
    assert not list(tmp_path.iterdir())


def test_many_classes_get_fewer_components_and_export(tmp_path: Path) -> None:
    labels, classes = torch.arange(20 * 300) // 20, tuple(map(str, range(300)))
    data = ImageData("many", torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels, classes)
    path = tmp_path / "a.safetensors"
    fit(data, path, FitConfig(network="conv-small", epochs=1, latent_dim=64, batch_size=3000))
    export(path, path.with_suffix(".onnx"))
    latents = load(path.with_suffix(".onnx")).spec.latents
    assert latents is not None
    assert latents.weights.shape == (300, 2)
    assert latents.weights.sum(1) == pytest.approx(1)


def test_a_folder_and_an_unknown_device_are_refused(tmp_path: Path) -> None:
    code, text = run("fit", "digits", "-o", tmp_path, "--overwrite")
    assert (code, text.splitlines()[-1]) == (
        1,
        (
            f"error: The output {tmp_path} is a folder, a pipe or a device. Name a file, such as one "
            "in it."
        ),
    )
    assert run("fit", "digits", "-o", tmp_path / "a", "--device", "bogus") == (
        1,
        "error: device is 'bogus'; choose cpu or cuda.\n",
    )


@pytest.mark.parametrize("is_there", [True, False])
def test_ctrl_c_before_the_first_save_claims_no_file(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a.safetensors"
    if is_there:
        path.write_bytes(b"of an earlier run")
    monkeypatch.setattr("vae_augment.training.fitting.Trainer", interrupted)
    code, text = run("fit", "digits", "-o", path, "--overwrite")
    assert code == 130
    assert f"Stopped before anything was written to {path}." in text
    assert "resumes" not in text


def test_ruined_weights_do_not_replace_a_sound_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruining(self: Trainer) -> Terms:
        terms = update(self)
        if self.step == 3:
            self.network.mean.bias.data.fill_(float("nan"))
        return terms

    update = Trainer.update
    monkeypatch.setattr(Trainer, "update", ruining)
    monkeypatch.setattr("vae_augment.training.fitting.SECONDS_BETWEEN_SAVES", -1.0)
    path = tmp_path / "a.safetensors"
    with pytest.raises(
        VAEAugmentError, match=r"Weights are not finite at step 3 .*smaller --learning-rate and --o"
    ):
        fit(shapes(30, 8, 1), path, FitConfig(network="conv-small", batch_size=10))
    checkpoint = load_checkpoint(path)
    assert int(checkpoint.state["step"]) == 2
    assert all(tensor.isfinite().all() for tensor in checkpoint.weights.values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "make", [lambda: shapes(300), lambda: shapes(1000, 8, 1), lambda: shapes(100, 8, 1)]
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
