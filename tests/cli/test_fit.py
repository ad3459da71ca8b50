"""`vae-augment fit`: from images to a model file in one command, which can be repeated."""

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import run_command as run
from vae_augment import cli, load
from vae_augment.cli.figure import WAYS_OUT
from vae_augment.model.evidence import AUDIT, SAMPLES_ONLY
from vae_augment.privacy.words import audit_in_words, samples_only_in_words
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
    assert re.search(
        r"training conv-small with 20 latent dimensions, given 10 classes, beta 0\.\d+: 2 updates of "
        r"200 images distorted at random, 2 epochs\n",
        text,
    )
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


@pytest.fixture
def quick_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_augment.evaluation.samples_only.UPDATES", 3)
    monkeypatch.setattr("vae_augment.privacy.membership.RESAMPLES", 20)
    monkeypatch.setattr("vae_augment.cli.figure.FEWEST_UPDATES", 3)
    monkeypatch.setattr("vae_augment.privacy.audit.MOST", 200)


@pytest.fixture
def many(digits: ImageData, tmp_path: Path) -> Path:
    """A file of 600 digits, of which a fifth can be kept."""
    path = tmp_path / "many.npz"
    np.savez(path, images=digits.images[:600].numpy(), labels=digits.labels[:600].numpy())
    return path


def test_its_defaults_are_those_of_the_config() -> None:
    options = inspect.signature(cli.fit).parameters
    settings = {field.name: field.default for field in dataclasses.fields(FitConfig)}
    assert {name: options[name].default for name in settings} == settings


def test_it_ends_with_what_its_samples_teach_and_what_it_gives_away(
    many: Path, tmp_path: Path, quick_figure: None
) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", many, *QUICK, "-o", output)
    assert code == 0, text
    model = load(output)
    entry = model.spec.evidence["samples_only"]
    assert f"{entry['test_images']} of the images are kept out of training" in text
    assert model.spec.training["images"] == 600 - entry["test_images"]
    assert "a classifier trained on samples alone reaches" in text[text.index("Use it") :]
    audited = audit_in_words(model.spec.evidence["audit"])
    ending = ["Its samples:", *samples_only_in_words(entry), "", "What it gives away:", *audited]
    assert text.splitlines()[-len(ending) :] == ending
    assert audited[0].startswith(f"200 training images against {entry['test_images']} others")
    assert f"{entry['samples']:.2f} %" in run("info", output)[1]
    again = tmp_path / "again.onnx"
    run("fit", many, *QUICK, "-o", again)
    assert again.read_bytes() == output.read_bytes()


def test_a_named_data_set_is_measured_on_its_test_part(tmp_path: Path, quick_figure: None) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", "digits", *QUICK, "-o", output)
    assert code == 0, text
    model = load(output)
    assert model.spec.training["images"] == 1297
    assert model.spec.evidence["samples_only"]["test_images"] == 500


def test_images_of_ones_own_are_measured_on(
    many: Path, images: Path, tmp_path: Path, quick_figure: None
) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", many, *QUICK, "--test", images, "-o", output)
    assert code == 0, text
    assert load(output).spec.training["images"] == 600
    assert load(output).spec.evidence["samples_only"]["test_images"] == 200
    for options in (("-o", tmp_path / "c.safetensors"), ("--no-check", "-o", tmp_path / "n.onnx")):
        code, text = run("fit", many, *QUICK, "--test", images, *options)
        assert code == 1
        assert "is for what is measured of a model file" in text


@pytest.mark.parametrize(
    "options", [("--no-check",), ("--read", "labels=no"), ("--redraw",)], ids=" ".join
)
def test_without_a_figure_all_images_are_trained_on(
    options: tuple[str, ...], many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "m.onnx"
    chosen = QUICK[2:] if "--redraw" in options else QUICK
    code, text = run("fit", many, *chosen, *options, "-o", output)
    assert code == 0, text
    assert load(output).spec.training["images"] == 600
    assert not {SAMPLES_ONLY, AUDIT} & load(output).spec.evidence.keys()


def test_too_few_images_for_a_figure_are_all_trained_on(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", images, *QUICK, "-o", output)
    assert code == 0, text
    assert "and no audit of what it gives away: fewer than 100 of the images" in text
    assert load(output).spec.training["images"] == 200


def test_what_is_found_comes_with_ways_out(
    many: Path, tmp_path: Path, quick_figure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_augment.privacy.report.WORRYING_AUC", 0.0)
    code, text = run("fit", many, *QUICK, "-o", tmp_path / "m.onnx")
    assert code == 0, text
    assert "Training images can be told from others by their " in text
    assert text.splitlines()[-1] == WAYS_OUT


def test_no_audit_against_images_that_it_was_trained_on(
    many: Path, tmp_path: Path, quick_figure: None
) -> None:
    output = tmp_path / "m.onnx"
    code, text = run("fit", many, *QUICK, "--test", many, "-o", output)
    assert code == 0, text
    assert "not measured: All images of" in text
    assert AUDIT not in load(output).spec.evidence


@pytest.mark.filterwarnings("ignore:.* images of copies.npz are among the training images")
def test_no_audit_against_the_rare_images_that_are_left_among_copies(
    digits: ImageData, tmp_path: Path, quick_figure: None
) -> None:
    rows = torch.cat([torch.arange(200), torch.arange(200, 300).repeat(4)])
    data = tmp_path / "copies.npz"
    np.savez(data, images=digits.images[rows].numpy(), labels=digits.labels[rows].numpy())
    output = tmp_path / "m.onnx"
    code, text = run("fit", data, *QUICK, "-o", output)
    assert code == 0, text
    assert re.search(r"not measured: only \d\d of the images", text)
    assert AUDIT not in load(output).spec.evidence


def interrupted(*arguments: Any, **options: Any) -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_stopped_at_its_figure_is_not_trained_again(
    many: Path, tmp_path: Path, quick_figure: None
) -> None:
    output = tmp_path / "m.onnx"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vae_augment.evaluation.sample_bench.train_classifier", interrupted)
        code, text = run("fit", many, *QUICK, "-o", output)
    assert code == 130
    assert f"{beside(output)} holds the trained network. The same command goes on." in text
    assert {path.name for path in tmp_path.iterdir()} == {"many.npz", beside(output).name}
    code, text = run("fit", many, *QUICK, "-o", output)
    assert code == 0, text
    assert "epoch 1/2" not in text
    assert "samples_only" in load(output).spec.evidence
    assert not beside(output).exists()
