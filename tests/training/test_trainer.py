"""The promise that a resumed run is the run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.helpers import SMALL, same_weights
from vae_augment.training import (
    ImageData,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from vae_augment.training.trainer import Trainer


def test_resume_in_mid_epoch_gives_the_same_weights(few: ImageData, tmp_path: Path) -> None:
    whole = fit(few, tmp_path / "whole.safetensors", SMALL)
    trainer = Trainer(few, SMALL)
    for _ in range(trainer.steps_per_epoch + 2):
        trainer.update()
    part = tmp_path / "part.safetensors"
    save_checkpoint(trainer.checkpoint(), part)
    resumed = fit(few, part, SMALL)
    assert resumed.is_finished
    assert same_weights(whole.weights, resumed.weights)
    assert (tmp_path / "whole.safetensors").read_bytes() == part.read_bytes()


def test_a_run_killed_after_its_last_step_keeps_the_facts(few: ImageData, tmp_path: Path) -> None:
    path, config = tmp_path / "a.safetensors", replace(SMALL, epochs=1)
    whole = fit(few, path, config).spec
    trainer = Trainer(few, config)
    while not trainer.is_finished:
        trainer.update()
    trainer.facts |= {"loss": whole.training["loss"]}
    save_checkpoint(trainer.checkpoint(), path)
    assert fit(few, path, config).spec.training["loss"] == whole.training["loss"]


def test_a_checkpoint_says_how_many_epochs_were_run(few: ImageData, tmp_path: Path) -> None:
    trainer = Trainer(few, SMALL)
    for _ in range(trainer.steps_per_epoch + 1):
        trainer.update()
    path = tmp_path / "a.safetensors"
    save_checkpoint(trainer.checkpoint(), path)
    assert load_checkpoint(path).spec.training["epochs_run"] == 1
    assert fit(few, path, SMALL).spec.training["epochs_run"] == SMALL.epochs


def test_same_seed_same_weights_other_seed_others(few: ImageData, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=1)
    one, two = (fit(few, tmp_path / f"{name}.safetensors", config).weights for name in "ab")
    other = fit(few, tmp_path / "c.safetensors", replace(config, seed=1)).weights
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_fit_does_not_disturb_the_global_generator(few: ImageData, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fit(few, tmp_path / "a.safetensors", replace(SMALL, epochs=1))
    assert torch.equal(torch.rand(1), expected)


# With 32 latent dimensions one gradient is nothing but rounding, which Adam makes a whole step of.
@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["--network=mlp", "--network=conv-small", "--network=energy-small --latent-dim=20"]
)
def test_two_ranks_train_the_weights_of_one(option: str, tmp_path: Path) -> None:
    arguments = [*("digits --epochs 2 --conditional --precision float32 --denoise 0.1").split()]
    weights = []
    for ranks in (1, 2):
        path = tmp_path / f"{ranks}.safetensors"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(ranks),
        ]
        command += ["-m", "vae_augment", "fit", *arguments, *option.split(), "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("wrote ") == 1
        weights.append(load_checkpoint(path).weights)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-5, rtol=0)
