"""What `fit` refuses, what it leaves on disk, and what a signal does to it."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.helpers import largest_file
from tests.helpers import run_command as run
from tests.training.helpers import SMALL, same_weights
from vae_augment import VAEAugment, load
from vae_augment.errors import InputError, OutputExistsError
from vae_augment.exporters import export
from vae_augment.training import (
    Epoch,
    FitConfig,
    ImageData,
    fit,
    load_checkpoint,
    load_data,
    save_checkpoint,
)
from vae_augment.training.fitting import _CheckpointFile
from vae_augment.training.trainer import Trainer


def test_unknown_network_and_missing_labels(few: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="network is 'vit'; choose one of mlp, conv-small"):
        fit(few, tmp_path / "a", replace(SMALL, network="vit"))
    unlabelled = ImageData("mine", few.images, torch.full_like(few.labels, -1))
    with pytest.raises(InputError, match="mine has no labels, which a conditional model needs"):
        fit(unlabelled, tmp_path / "a", SMALL)


def test_classes_too_small_to_learn_are_named(tmp_path: Path) -> None:
    labels = torch.tensor([0] * 20 + [1] * 2 + [2] * 3 + [3])
    images = torch.arange(26, dtype=torch.uint8).mul(9).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    data = ImageData("mine", images, labels, ("a", "b", "c", "d"))
    config = FitConfig(network="conv-small", epochs=1)
    with pytest.warns(UserWarning, match=r"few images of 'b' \(2\), 'c' \(3\), 'd' \(1\) to learn"):
        fit(data, tmp_path / "a.safetensors", config)
    fit(data, tmp_path / "b.safetensors", replace(config, conditional=False))


def test_a_checkpoint_does_not_get_the_name_of_a_model_file(few: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.onnx ends in \.onnx, but this writes a checkpoint"):
        fit(few, tmp_path / "a.onnx", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_conditional_model_of_a_single_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    image = Image.new("L", (8, 8))
    image.paste(200, (2, 2, 6, 6))
    image.save(tmp_path / "photos" / "cats" / "1.png")
    photos, output = load_data(tmp_path / "photos"), tmp_path / "a.safetensors"
    with pytest.raises(
        InputError, match="photos has one class, 'cats'; a conditional model needs at least two"
    ):
        fit(photos, output, SMALL)
    assert not output.exists()
    fit(photos, output, replace(SMALL, conditional=False, epochs=1))


def test_labels_that_are_not_int64_are_refused(digits: ImageData):
    for labels in (digits.labels + 0.7, digits.labels.to(torch.uint8)):
        with pytest.raises(
            InputError, match=f"digits has labels of type {labels.dtype}; give int64"
        ):
            replace(digits, labels=labels)


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
        (tuple("0123456789"), (1, 8, 8), {"latent_dim": 2000}, "do not fit into a model file"),
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
    count = max(4, len(classes))  # an image for each class
    images = torch.zeros(count, *shape, dtype=torch.uint8)
    images[..., ::2] = 255
    labels = torch.arange(count) if classes else torch.full((count,), -1)
    labels[labels >= len(classes)] = -1
    data = ImageData("mine", images, labels, classes)
    config = FitConfig(**{"network": "conv-small", "epochs": 1} | settings)
    with pytest.raises(InputError, match=message):
        fit(data, tmp_path / "a.safetensors", config)
    assert not list(tmp_path.iterdir())


def test_a_folder_and_an_unknown_device_are_refused(tmp_path: Path) -> None:
    code, text = run("fit", "digits", "-o", tmp_path, "--overwrite")
    assert code == 1
    assert text.splitlines()[-1] == (
        f"error: The output {tmp_path} is a folder, a pipe or a device. Name a file, such as one "
        "in it."
    )
    assert run("fit", "digits", "-o", tmp_path / "a", "--device", "bogus") == (
        1,
        "error: device is 'bogus'; choose cpu or cuda.\n",
    )


def test_resume_refuses_other_settings(few: ImageData, tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    trainer = Trainer(few, SMALL)
    trainer.update()
    save_checkpoint(trainer.checkpoint(), part)
    with pytest.raises(InputError, match="unfinished run with other settings: seed 0, now 1"):
        fit(few, part, replace(SMALL, seed=1))


def test_a_run_that_began_before_images_were_distorted_goes_on_without(
    few: ImageData, tmp_path: Path
) -> None:
    part = tmp_path / "part.safetensors"
    trainer = Trainer(few, replace(SMALL, distort=False))
    del trainer.facts["distort"]
    trainer.update()
    save_checkpoint(trainer.checkpoint(), part)
    with pytest.raises(InputError, match="other settings: distort False, now True"):
        fit(few, part, SMALL)
    assert fit(few, part, replace(SMALL, distort=False)).is_finished


def test_a_finished_checkpoint_is_not_replaced(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    config = replace(SMALL, epochs=1)
    fit(few, path, config)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        fit(few, path, config)
    assert path.read_bytes() == before
    fit(few, path, config, overwrite=True)


@pytest.mark.parametrize("shape", [(3, 32, 32), pytest.param((1, 64, 64), marks=pytest.mark.slow)])
def test_larger_and_coloured_images_go_the_whole_way(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(40, *shape, generator=generator)).to(torch.uint8)
    data = ImageData("made", images, torch.arange(40) % 2, ("a", "b"))
    checkpoint, path = tmp_path / "c.safetensors", tmp_path / "m.onnx"
    fit(data, checkpoint, replace(SMALL, epochs=1, latent_dim=6))
    export(checkpoint, path)
    augmented = VAEAugment(path, p=1.0)(images)
    assert augmented.shape == images.shape
    assert not torch.equal(augmented, images)
    assert load(path).sample(4)[0].shape == (4, *shape)


def test_a_full_disk_leaves_the_earlier_checkpoint(
    tiny_checkpoint: Path, few: ImageData, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    before = tiny_checkpoint.read_bytes()
    path.write_bytes(before)
    config = FitConfig(network="conv-small", epochs=1)
    with largest_file(100_000), pytest.raises(OSError, match="File too large"):
        fit(few, path, config, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


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


COMMAND = [
    sys.executable,
    "-m",
    "vae_augment",
    "fit",
    "digits",
    "--network",
    "conv-small",
    "--epochs",
    "40",
]


def started(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [*COMMAND, "-o", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    return process


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_resumes(tmp_path: Path, digits: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    process = started(path)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command resumes it." in rest
    assert not load_checkpoint(path).is_finished
    subprocess.run([*COMMAND, "-o", str(path)], check=True, timeout=120)
    whole = fit(digits, tmp_path / "b.safetensors", FitConfig(network="conv-small", epochs=40))
    assert same_weights(load_checkpoint(path).weights, whole.weights)


@pytest.mark.slow
def test_kill_and_resume_gives_the_same_weights(tmp_path: Path, digits: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    process = started(path)
    process.kill()
    process.communicate(timeout=10)
    assert not load_checkpoint(path).is_finished
    subprocess.run([*COMMAND, "-o", str(path)], check=True, timeout=120)
    whole = fit(digits, tmp_path / "b.safetensors", FitConfig(network="conv-small", epochs=40))
    assert same_weights(load_checkpoint(path).weights, whole.weights)


OTHER = "import sys; from pathlib import Path; Path(sys.argv[1]).write_bytes(b'of another process')"


def written_by_another_process(path: Path) -> None:
    subprocess.run([sys.executable, "-c", OTHER, path], check=True)


def test_of_two_runs_that_start_together_one_stops_at_its_first_save(
    digits: ImageData, tmp_path: Path
):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=2, batch_size=900),
    )

    def start_another(epoch: object) -> None:
        with pytest.raises(OutputExistsError, match="exists already and was left as it is"):
            rival.save(load_checkpoint(output))

    rival = _CheckpointFile(output, overwrite=False)
    fit(digits, output, config, report=start_another)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert load_checkpoint(output).is_finished


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_another_process_wrote_is_left_and_the_work_kept(
    digits: ImageData, tmp_path: Path, overwrite: bool
):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=2, batch_size=900),
    )

    def disturb(epoch: Epoch) -> None:
        if epoch.number == 2:
            written_by_another_process(output)

    if overwrite:
        fit(digits, output, config, overwrite=True, report=disturb)
        assert load_checkpoint(output).is_finished
        return
    with pytest.raises(OutputExistsError, match="Another process has written") as caught:
        fit(digits, output, config, report=disturb)
    assert output.read_bytes() == b"of another process"
    (kept,) = [path for path in tmp_path.iterdir() if path != output]
    assert str(kept) in str(caught.value)
    assert load_checkpoint(kept).is_finished


def test_a_run_whose_file_was_removed_writes_it_again(digits: ImageData, tmp_path: Path):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=1, batch_size=900),
    )
    fit(digits, output, config, report=lambda epoch: output.unlink())
    assert load_checkpoint(output).is_finished
