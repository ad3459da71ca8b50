"""`vae-augment compare`: what it does with data of one's own, what it writes, what it refuses."""

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from tests.helpers import run_command as run
from tests.model.file.attacks.kernels import not_finite_on_white
from vae_augment import VAEModel, load
from vae_augment.errors import UnsafeModelError, VAEAugmentError
from vae_augment.evaluation import compare, methods, vaes
from vae_augment.training import FitConfig, ImageData

QUICK = ("--updates", 2, "--repetitions", 2, "--workers", 1)
FEW = ("--method", "flip+shift", "--method", "VAE")


def write_folder(data: ImageData, folder: Path, count: int, start: int = 0) -> Path:
    """Class folders of RGB images."""
    for number in range(start, start + count):
        path = folder / f"digit {int(data.labels[number])}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[number, 0].numpy()).convert("RGB").save(path)
    return folder


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """VAEs of one pass over few images."""
    monkeypatch.setattr(vaes, "MOST_UPDATES", 2)


def test_every_run_is_written(tiny_model_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    options = ("--labels-per-class", 5, "--model", tiny_model_path, *FEW, *QUICK)
    code, text = run("compare", "digits", *options, "-o", output)
    assert code == 0, text
    assert "50 labelled images and 500 to test on; 6 classifiers of 2 updates and no VAE" in text
    assert "| VAE (VAE: given) " in text
    assert text.count("\n| ") == 4 + 1
    found = json.loads(output.read_text())
    runs = found.pop("runs")
    assert found == {"data": "digits", "labels_per_class": 5, "pool": False, "updates": 2}
    assert [(entry["seed"], entry["method"]) for entry in runs] == [
        (seed, method) for seed in range(2) for method in ("none", "flip+shift", "VAE")
    ]


def test_a_vae_is_trained_on_the_users_own_images(
    digits: ImageData, tmp_path: Path, short_training: None
) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    tests = [write_folder(digits, tmp_path / str(start), 40, start) for start in (60, 100)]
    options = ("--updates", 1, "--repetitions", 1, *FEW)
    code, text = run("compare", folder, *options, "--test-data", tests[0], "--test-data", tests[1])
    assert code == 0, text
    assert text.startswith("60 labelled images and 80 to test on; 3 classifiers")
    assert "| VAE (VAE: labelled only) " in text
    assert "One repetition cannot tell a gain from luck" in text


def test_own_images_are_split_by_class_and_the_rest_is_a_pool(
    digits: ImageData,
    tiny_model: VAEModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fitted: list[ImageData] = []

    def fit_model(data: ImageData, config: FitConfig) -> VAEModel:
        fitted.append(data)
        return tiny_model

    monkeypatch.setattr(vaes, "fit_model", fit_model)
    images, labels = digits.images[:150].numpy(), digits.labels[:150].numpy()
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    caplog.set_level(logging.INFO)
    found = compare(
        tmp_path / "a.npz",
        labels_per_class=4,
        pool=True,
        methods=["VAE"],
        updates=1,
        draws=2,
        workers=1,
    )
    assert [(run.seed, run.method, run.trained_on) for run in found.runs] == [
        (seed, method, saw)
        for seed in (0, 1)
        for method, saw in (("none", "none"), ("VAE", "pool"))
    ]
    assert caplog.messages == [
        "40 labelled images and 30 to test on; 4 classifiers of 1 updates and 2 VAEs to train"
    ]
    assert [(len(data), (data.labels >= 0).sum().item()) for data in fitted] == [(120, 40)] * 2
    assert not torch.equal(fitted[0].images, fitted[1].images)


def test_a_model_of_the_users_own_must_take_the_images(
    digits: ImageData, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    code, text = run("compare", folder, "--model", tiny_model_path, *QUICK)
    assert code == 1
    assert text.rstrip().endswith(
        "The model digits takes images of shape (1, 8, 8); those of "
        f"{folder} have (3, 8, 8). Leave the model out, and one is trained on them, or resize them."
    )


def test_the_first_repetition_can_be_chosen(tiny_model_path: Path) -> None:
    def runs(seed: int, draws: int) -> list[tuple[int, str, float]]:
        found = compare(
            "digits",
            model=tiny_model_path,
            methods=["VAE"],
            labels_per_class=5,
            updates=2,
            draws=draws,
            seed=seed,
            workers=1,
        )
        return [(run.seed, run.method, run.accuracy) for run in found.runs]

    assert runs(seed=1, draws=1) == runs(seed=0, draws=2)[2:]


def test_changed_data_are_read_again(
    digits: ImageData, tiny_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def labelled_images() -> str:
        caplog.clear()
        compare(
            tmp_path / "a.npz",
            model=tiny_model_path,
            methods=[],
            updates=1,
            draws=1,
            workers=1,
        )
        return caplog.messages[0].split(" labelled")[0]

    for count in (50, 100):
        images = digits.images[:count].numpy()
        np.savez(tmp_path / "a.npz", images=images, labels=digits.labels[:count].numpy())
        train = count - sum(digits.labels[:count].bincount().div(5).round().clamp(min=1).tolist())
        assert labelled_images() == f"{train:.0f}"


def test_other_test_classes_are_refused(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    other = write_folder(digits, tmp_path / "other", 3)
    shutil.copytree(next(other.iterdir()), other / "x")
    code, text = run("compare", folder, "--test-data", other)
    assert code == 1
    assert (
        "The test images of other are (3, 8, 8) of the classes ('digit 0', 'digit 1', 'digit 2', 'x')"
        in text
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["digits", "--labels-per-class", "many"],
            "--labels-per-class is 'many'; give a number of at least 1, or all",
        ),
        (["digits", "--labels-per-class", 5000 * "9"], "--labels-per-class is '9999"),
        (["digits", "--labels-per-class", "0"], "labels_per_class is 0; it must be at least 1."),
        (
            ["digits", "--labels-per-class", "500"],
            "The class '0' has 128 images to train on, fewer than 500 labels",
        ),
        (["digits", "--pool"], "digits leaves no images for a pool"),
        (["digits", "--device", "tpu"], "device is 'tpu'; choose cpu or cuda"),
        (["digits", "--method", "magic"], "There is no method 'magic' for these images. Choose"),
        (["nowhere"], "There is no data 'nowhere'"),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], message: str) -> None:
    code, text = run("compare", *arguments)
    assert code == 1
    assert text.startswith(f"error: {message}")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """No classifier and no VAE may be trained."""

    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("trained before the fault was found")

    monkeypatch.setattr(methods, "train_classifier", train)
    monkeypatch.setattr(vaes, "fit", train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": True, "settings": {"strength": math.nan}},
            "`strength` should be a finite value",
        ),
        ({"settings": {"p": 2.0}}, "`p` should be a floating point value"),
        ({"settings": {"labels_getter": "default"}}, "VAEAugment found no labels in its inputs"),
        (
            {"model": "glyphs", "settings": {"residual": True}},
            "'glyphs' is conditioned on an image",
        ),
        (
            {"model": "mnist"},
            r"The model .*mnist.* takes images .*28\); those of digits have \(1, 8, 8\)",
        ),
        ({"seed": -1}, r"seed is -1; it must lie in 0\.\.2"),
        ({"seed": 2**64 - 1}, r"seed is 18446744073709551617; it must lie in 0\.\.2"),
        ({"draws": 10**12}, r"draws is 1000000000000; it must lie in 1\.\.2"),
        ({"updates": 10**12}, r"updates is 1000000000000; it must lie in 1\.\.2"),
        ({"labels_per_class": 2.5}, "labels_per_class is 2.5; it must be an integer"),
        ({"workers": 2.5}, "workers is 2.5; it must be an integer"),
    ],
)
def test_a_fault_is_found_before_the_training(
    arguments: dict[str, Any], message: str, untrained: None, tiny_model_path: Path
) -> None:
    if arguments.get("model") is True:
        arguments = arguments | {"model": tiny_model_path}
    with pytest.raises(VAEAugmentError, match=message):
        compare("digits", **({"labels_per_class": 5, "workers": 1} | arguments))


def test_a_model_that_fails_on_the_images_is_found_before_the_training(
    untrained: None, bare_model_path: Path, tmp_path: Path
) -> None:
    model = not_finite_on_white(onnx.load(bare_model_path), tmp_path)
    with pytest.raises(VAEAugmentError, match="not finite"):
        compare("digits", labels_per_class=5, model=model, settings={"residual": False}, workers=1)


def test_a_model_file_that_was_replaced_after_the_check_is_refused(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(tiny_model_path, model)
    replace = logging.Handler()
    # What will be done is logged after the check and before the first run.
    replace.emit = lambda record: shutil.copy(load("glyphs").path, model)  # type: ignore[method-assign]
    log = logging.getLogger("vae_augment.evaluation.comparison")
    monkeypatch.setattr(log, "handlers", [replace])
    monkeypatch.setattr(log, "level", logging.INFO)
    with pytest.raises(UnsafeModelError, match="it is not the file that was meant"):
        compare(
            "digits",
            labels_per_class=5,
            model=model,
            methods=["VAE"],
            workers=1,
            updates=1,
        )
