"""`vae-augment compare`: on data of one's own, what it writes, and what it says in the end."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import run

from vae_augment.errors import InputError
from vae_augment.evaluation.comparison import compare
from vae_augment.evaluation.experiment import Run
from vae_augment.evaluation.report import advise
from vae_augment.training import ImageData

METHODS = [
    "none",
    "affine",
    "affine+elastic",
    "thickness+affine+elastic",
    "flip+shift",
    "strong VAE",
    "thickness+affine+elastic+strong VAE",
    "flip+shift+strong VAE",
]
QUICK = ("--updates", 3, "--draws", 2, "--workers", 1)


def write_folder(data: ImageData, folder: Path, count: int, start: int = 0) -> Path:
    """Class folders of RGB images."""
    for number in range(start, start + count):
        path = folder / f"digit {int(data.labels[number])}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[number, 0].numpy()).convert("RGB").save(path)
    return folder


def test_every_run_is_written(tmp_path: Path) -> None:
    output = tmp_path / "new" / "r.json"
    code, text = run("compare", "digits", "--labels-per-class", "5", *QUICK, "-o", output)
    assert code == 0, text
    assert "16 classifiers of 3 updates" in text
    runs = json.loads(output.read_text())["runs"]
    assert [(entry["draw"], entry["method"]) for entry in runs] == [
        (draw, method) for draw in range(2) for method in METHODS
    ]
    assert {entry["regime"] for entry in runs} == {"5 labels"}
    assert "| strong VAE (VAE: labelled only) " in text
    assert text.count("\n| ") == 10


def test_two_workers_find_what_one_finds() -> None:
    one, two = (compare("digits", labels_per_class=5, updates=3, draws=2, workers=workers).runs for workers in (1, 2))
    assert [(run.draw, run.method) for run in one] == [(run.draw, run.method) for run in two]
    assert [run.accuracy for run in one] == pytest.approx([run.accuracy for run in two], abs=1.0)


def test_own_images_are_split_by_class_for_each_draw(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 150)
    said: list[str] = []
    verdict = compare(folder, labels_per_class=4, pool=True, updates=2, draws=2, workers=1, say=said.append)
    assert [entry.method for entry in verdict.runs[: len(METHODS)]] == METHODS
    assert {entry.trained_on for entry in verdict.runs} == {"none", "pool"}
    assert said == [said[0]]
    assert said[0].startswith("40 labelled images and 30 to test on; 16 classifiers of 2 updates and 2 VAEs: about ")


def test_test_images_of_their_own(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    parts = [write_folder(digits, tmp_path / str(start), 40, start) for start in (60, 100)]
    code, text = run("compare", folder, "--updates", 1, "--draws", 1, "--test", parts[0], "--test", parts[1])
    assert code == 0, text
    assert text.startswith("60 labelled images and 80 to test on; 8 classifiers")
    assert "One draw cannot tell a gain from luck" in text


def test_other_test_classes_are_refused(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    other = write_folder(digits, tmp_path / "other", 3)
    code, text = run("compare", folder, "--test", other)
    assert code == 1
    assert "The test images of other are (3, 8, 8) of the classes ('digit 0', 'digit 1', 'digit 2')" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--labels-per-class", "many"], "--labels-per-class is 'many'; give a number of at least 1, or all"),
        (["digits", "--labels-per-class", "0"], "labels_per_class is 0; it must be at least 1"),
        (["digits", "--labels-per-class", "500"], "The class '0' has 128 images to train on, fewer than 500 labels"),
        (["digits", "--pool"], "digits leaves no images for a pool"),
        (["digits", "--device", "tpu"], "device is 'tpu'; choose cpu or cuda"),
        (["nowhere"], "There is no data 'nowhere'"),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], message: str) -> None:
    code, text = run("compare", *arguments)
    assert code == 1
    assert text.startswith(f"error: {message}")


def test_images_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"a\.npz has 0 classes; a comparison needs labelled images of at least two"):
        compare(tmp_path / "a.npz")


def test_a_class_of_one_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8), labels=np.array([0, 0, 0, 0, 1]))
    with pytest.raises(InputError, match=r"class '1' of a\.npz has 1 labelled images"):
        compare(tmp_path / "a.npz")


VAE = "thickness+affine+elastic+strong VAE"


def runs(none: list[float], affine: list[float], vae: list[float]) -> list[Run]:
    methods = {
        ("none", "classical"): none,
        ("affine", "classical"): affine,
        ("thickness+affine+elastic+strong VAE", "VAE"): vae,
    }
    return [
        Run("10", "photos", method, kind, "pool" if kind == "VAE" else "none", draw, 1500, value, 1.0)
        for (method, kind), values in methods.items()
        for draw, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("vae", "first", "last"),
    [
        (
            [83.0, 84.1, 85.0],
            f"VAE augmentation helps on your data: {VAE}, +2.03 ± 0.14 points against affine.",
            "Use VAEAugment(MODEL, p=0.5, strength=3, residual=True) after thickness, affine and elastic distortion.",
        ),
        (
            [79.0, 80.1, 81.0],
            f"VAE augmentation is harmful on your data: {VAE}, -1.97 ± 0.14",
            "Leave it out.",
        ),
        (
            [80.5, 83.0, 85.0],
            f"No measurable difference: {VAE}, +0.83 ± 3.13",
            "narrow the interval.",
        ),
        (
            [83.0],
            f"One draw cannot tell a gain from luck: {VAE}, +2.00 points",
            "Give more draws.",
        ),
    ],
    ids=["helps", "harms", "neither", "one draw"],
)
def test_advice_follows_from_the_interval(vae: list[float], first: str, last: str) -> None:
    count = len(vae)
    text = advise(runs([70.0, 71.0, 72.0][:count], [81.0, 82.0, 83.0][:count], vae))
    without, verdict = text.splitlines()
    assert without.startswith("Without a VAE, affine did best: +11.00")
    assert verdict.startswith(first)
    assert verdict.endswith(last)


def test_advice_where_nothing_beats_no_augmentation() -> None:
    text = advise(runs([80.0, 81.0], [70.0, 71.0], [60.0, 61.0]))
    assert text.startswith("Without a VAE, no augmentation did best.\n")
    assert "-20.00 ± 0.00 points against no augmentation" in text
