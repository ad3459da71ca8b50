"""`vae-augment fit`: from images to a model file in one command, which can be repeated."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import run_command as run
from vae_augment import load
from vae_augment.training import Epoch, FitConfig, ImageData, fit, load_checkpoint

QUICK = ("--network", "conv-small", "--epochs", 2, "--batch-size", 200)


@pytest.fixture
def images(digits: ImageData, tmp_path: Path) -> Path:
    """A file of 200 digits, whose name stands in the checkpoints."""
    path = tmp_path / "few.npz"
    np.savez(path, images=digits.images[:200].numpy(), labels=digits.labels[:200].numpy())
    return path


def beside(output: Path) -> Path:
    return output.with_name(f"{output.stem}.unfinished.safetensors")


def interrupt_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(epoch: Epoch) -> None:
        if epoch.number == epochs:
            raise KeyboardInterrupt

    module = sys.modules["vae_augment.cli.fit"]  # `vae_augment.cli` has the command of that name
    monkeypatch.setattr(module, "_show_epoch", show)


def test_labels_are_used_and_the_file_is_all_that_is_left(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", images, *QUICK, "-o", output)
    assert code == 0, text
    assert (
        "training conv-small with 20 latent dimensions, given 10 classes: 2 updates of 200 images, "
        "2 epochs\n"
    ) in text
    assert "tolerance 1e-05: ok" in text
    assert f'VAEAugment("{output}"' in text
    assert load(output).spec.conditional
    assert {path.name for path in tmp_path.iterdir()} == {"few.npz", "m.onnx"}


def test_unconditional_leaves_the_labels_out(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "c.safetensors"
    code, text = run("fit", images, *QUICK, "--unconditional", "-o", output)
    assert code == 0, text
    assert f"Next: vae-augment export {output} -o {tmp_path / 'c.onnx'}" in text
    assert not load_checkpoint(output).spec.conditional


def test_a_stopped_run_is_resumed_by_the_same_command(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        code, text = run("fit", images, *QUICK, "-o", output)
    assert code == 130
    assert f"Stopped; {beside(output)} holds the state. The same command resumes it." in text
    assert not output.exists()
    code, text = run("fit", images, *QUICK, "-o", output)
    assert code == 0, text
    assert f"resuming {beside(output)} in epoch 2/2" in text
    assert output.exists()
    assert not beside(output).exists()


def failing_export(*arguments: Any, **options: Any) -> None:
    raise OSError("no space left")


def test_a_run_that_was_killed_before_its_export_is_not_trained_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    with monkeypatch.context() as patched:
        patched.setattr("vae_augment.exporters.export", failing_export)
        code, text = run("fit", images, *QUICK, "-o", output)
    assert (code, text.splitlines()[-1]) == (1, "error: no space left")
    assert load_checkpoint(beside(output)).is_finished
    code, text = run("fit", images, *QUICK, "-o", output)
    assert code == 0, text
    assert "epoch 1/2" not in text
    assert output.exists()
    assert not beside(output).exists()


def test_other_settings_are_refused_until_overwrite_is_given(
    images: Path, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        run("fit", images, *QUICK, "-o", output)
    code, text = run("fit", images, *QUICK, "--seed", 1, "-o", output)
    assert code == 1
    assert "holds an unfinished run with other settings: seed 0, now 1." in text
    code, text = run("fit", images, *QUICK, "--seed", 1, "-o", output, "--overwrite")
    assert code == 0, text
    assert "resuming" not in text
    assert load(output).spec.training["seed"] == 1


def test_overwrite_replaces_the_file_only_at_the_end_and_resumes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    output.write_bytes(b"old")
    code, text = run("fit", images, *QUICK, "-o", output)
    assert (code, output.read_bytes()) == (1, b"old")
    assert "exists already" in text
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        text = run("fit", images, *QUICK, "-o", output, "--overwrite")[1]
    assert "The same command resumes it." in text
    assert output.read_bytes() == b"old"
    code, text = run("fit", images, *QUICK, "-o", output, "--overwrite")
    assert code == 0, text
    assert "resuming" in text
    assert load(output).spec.training["epochs_run"] == 2


def test_redraw_names_the_network(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.safetensors"
    assert run("fit", images, "--redraw", "--epochs", 1, "-o", output)[0] == 0
    assert load_checkpoint(output).spec.training["network"] == "redrawing"
    code, text = run("fit", images, "--redraw", "--network", "mlp", "-o", tmp_path / "x")
    assert code == 1
    assert "--redraw does not go with --network mlp. Give one of the two." in text


def test_the_command_is_the_call(images: Path, digits: ImageData, tmp_path: Path) -> None:
    output = tmp_path / "c.safetensors"
    assert run("fit", "digits", *QUICK, "-o", output)[0] == 0
    config = FitConfig(network="conv-small", epochs=2, batch_size=200)
    called = fit(digits, tmp_path / "d.safetensors", config)
    weights = load_checkpoint(output).weights
    assert all(torch.equal(weights[name], called.weights[name]) for name in called.weights)
