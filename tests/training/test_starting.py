"""A run that starts from the weights of another one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import run_command as run
from vae_augment import load
from vae_augment.errors import InputError, NotFoundError
from vae_augment.training import (
    Checkpoint,
    FitConfig,
    ImageData,
    fit,
    holds_same_run,
    load_checkpoint,
    strength_unit,
)
from vae_augment.training.starting import LEAST_PER_CLASS, MOST_IMAGES, find_start, start_from
from vae_augment.training.trainer import Trainer

CONFIG = FitConfig(network="conv-small", latent_dim=6, epochs=20, batch_size=100)


def photographs(count: int, shape: tuple[int, int, int] = (1, 28, 28)) -> ImageData:
    """Labelled images with many greys."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(60, 190, (count, *shape), generator=generator, dtype=torch.uint8)
    return ImageData("photographs", images, torch.arange(count) % 2, ("a", "b"))


@pytest.fixture(scope="module")
def low(digits: ImageData) -> ImageData:
    """Digits 0 to 4."""
    chosen = digits.subset((digits.labels < 5).nonzero()[:, 0])
    return replace(chosen, name="low", classes=digits.classes[:5])


@pytest.fixture(scope="module")
def high(digits: ImageData) -> ImageData:
    """Digits 5 to 7."""
    chosen = digits.subset(((digits.labels > 4) & (digits.labels < 8)).nonzero()[:, 0])
    return replace(chosen, name="high", labels=chosen.labels - 5, classes=digits.classes[5:8])


@pytest.fixture(scope="module")
def path(low: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint to start from."""
    path = tmp_path_factory.mktemp("start") / "low.safetensors"
    fit(low, path, CONFIG)
    return path


@pytest.fixture(scope="module")
def start(low: ImageData, path: Path) -> Checkpoint:
    return load_checkpoint(path)


def test_all_weights_but_those_of_other_classes_are_those_of_the_start(
    high: ImageData, start: Checkpoint
) -> None:
    random = Trainer(high, CONFIG).network.state_dict()
    for name, weight in Trainer(high, CONFIG, start=start).network.state_dict().items():
        given = start.weights[name]
        if name in ("enter.weight", "leave.weight"):
            assert torch.equal(weight[:, :-3], given[:, :-5])
            assert torch.equal(weight[:, -3:], random[name][:, -3:])
        else:
            assert torch.equal(weight, given)


def test_the_same_classes_keep_their_weights(low: ImageData, start: Checkpoint) -> None:
    for name, weight in Trainer(low, CONFIG, start=start).network.state_dict().items():
        assert torch.equal(weight, start.weights[name])


def test_it_learns_sooner(high: ImageData, start: Checkpoint, tmp_path: Path) -> None:
    short = replace(CONFIG, epochs=3)
    of_random = fit(high, tmp_path / "random.safetensors", short)
    of_start = fit(high, tmp_path / "started.safetensors", short, start=start)
    losses = [each.spec.training["reconstruction_error"] for each in (of_start, of_random)]
    assert losses[0] < 0.7 * losses[1]


def test_network_and_latent_are_those_of_the_start(
    high: ImageData, path: Path, tmp_path: Path
) -> None:
    found = fit(high, tmp_path / "m.safetensors", FitConfig(epochs=1), start=path)
    assert found.network["network"] == "conv-small"
    assert found.spec.training["latent_dim"] == 6


def test_the_latent_of_an_energy_network_is_counted_without_its_detail(
    high: ImageData, tmp_path: Path
) -> None:
    config = FitConfig(network="energy-small", epochs=1)
    first = fit(high, tmp_path / "first.safetensors", config)
    again = fit(high, tmp_path / "again.safetensors", FitConfig(epochs=1), start=first)
    assert again.spec.training["latent_dim"] == first.spec.training["latent_dim"]
    assert again.spec.latent_dim == first.spec.latent_dim


@pytest.mark.parametrize(
    "config", [replace(CONFIG, latent_dim=7), replace(CONFIG, network="conv")], ids=["dim", "width"]
)
def test_a_start_of_another_network_is_refused(
    config: FitConfig, high: ImageData, start: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="The checkpoint to start from is of ConvVAE of width 16"):
        fit(high, tmp_path / "m.safetensors", config, start=start)
    assert not (tmp_path / "m.safetensors").exists()


def test_images_of_another_shape_are_refused(
    high: ImageData, start: Checkpoint, tmp_path: Path
) -> None:
    larger = replace(high, images=torch.randint(256, (len(high), 1, 12, 12)).byte())
    with pytest.raises(InputError, match=r"images of 1x8x8; this run is of .* images of 1x12x12"):
        fit(larger, tmp_path / "m.safetensors", CONFIG, start=start)


def test_an_unfinished_run_goes_on_from_its_own_start_alone(
    high: ImageData, start: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"

    def stop(epoch: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(high, path, CONFIG, start=start, report=stop)
    assert holds_same_run(path, high, CONFIG, start)
    assert not holds_same_run(path, high, CONFIG)
    with pytest.raises(InputError, match=r"other settings: start_sha256 '.*', now None"):
        fit(high, path, CONFIG)
    finished = fit(high, path, CONFIG, start=start)
    whole = fit(high, tmp_path / "whole.safetensors", CONFIG, start=start)
    for name, weight in finished.weights.items():
        assert torch.equal(weight, whole.weights[name])


def test_the_callers_checkpoint_stays_as_it_was(high: ImageData, start: Checkpoint) -> None:
    before = {name: weight.clone() for name, weight in start.weights.items()}
    trainer = Trainer(high, CONFIG, start=start)
    trainer.update()
    start_from(trainer.network, high.classes, start)
    for name, weight in start.weights.items():
        assert torch.equal(weight, before[name])


def test_the_command_starts_from_a_checkpoint_and_the_file_says_so(
    path: Path, tmp_path: Path
) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", "digits", "--start", path, "--epochs", 1, "--no-check", "-o", output)
    assert code == 0, text
    assert "training conv-small with 6 latent dimensions" in text
    assert len(load(output).spec.training["start_sha256"]) == 64
    code, text = run(
        "fit", tmp_path / "none", "--start", tmp_path / "no", "-o", tmp_path / "n.onnx"
    )
    assert code == 1
    assert "There is no checkpoint" in text


def test_a_missing_start_is_said(high: ImageData, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no checkpoint"):
        fit(high, tmp_path / "m.safetensors", CONFIG, start=tmp_path / "no.safetensors")


@pytest.mark.parametrize("count", [2 * LEAST_PER_CLASS, MOST_IMAGES])
def test_few_grey_images_start_from_the_bundled_photographs(count: int) -> None:
    start = find_start("suited", photographs(count), FitConfig())
    assert start is not None
    assert (start.spec.image_shape, start.network["network"]) == ((1, 28, 28), "energy")
    assert start.weights.keys() == find_start("photographs", photographs(1), CONFIG).weights.keys()


@pytest.mark.parametrize(
    ("data", "config"),
    [
        (photographs(MOST_IMAGES + 1), FitConfig()),
        (photographs(2 * LEAST_PER_CLASS - 1), FitConfig()),
        (photographs(500, (3, 28, 28)), FitConfig()),
        (photographs(500, (1, 32, 32)), FitConfig()),
        (photographs(500), FitConfig(network="conv")),
        (photographs(500), FitConfig(latent_dim=20)),
        (photographs(500), FitConfig(conditional=False)),
    ],
    ids="many few colour another_shape another_network another_latent unconditional".split(),
)
def test_others_start_from_random_weights(data: ImageData, config: FitConfig) -> None:
    assert find_start("suited", data, config) is None


def test_a_run_with_a_start_takes_half_the_updates(low: ImageData, start: Checkpoint) -> None:
    usual = replace(CONFIG, epochs=None)
    steps = [Trainer(low, usual, start=given).total_steps for given in (None, start)]
    assert steps[1] == pytest.approx(steps[0] / 2, rel=0.01)
    assert Trainer(low, CONFIG, start=start).epochs == CONFIG.epochs


@pytest.mark.parametrize(("given", "is_started"), [((), True), (("--start", "none"), False)])
def test_the_command_says_when_it_starts_from_the_bundled_photographs(
    given: tuple[str, ...], is_started: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strength_unit, "MOVED", 10)
    data = photographs(2 * LEAST_PER_CLASS)
    path = tmp_path / "data.npz"
    np.savez(path, images=data.images.numpy(), labels=data.labels.numpy())
    output = tmp_path / "m.safetensors"
    code, text = run("fit", path, *given, "--epochs", 1, "--batch-size", 400, "-o", output)
    assert code == 0, text
    assert ("from the weights of other images (start)" in text) is is_started
    assert ("start_sha256" in load_checkpoint(output).spec.training) is is_started
