"""The demo: what it compares, what it says, and what it says when nothing is gained."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.helpers import run_command
from vae_augment import load
from vae_augment.evaluation import demonstration
from vae_augment.evaluation.demonstration import (
    USE,
    all_digits,
    choose,
    enlarged,
    gain_in_words,
    spread,
    table,
)
from vae_augment.transforms import distortions


def test_the_digits_to_test_on_are_others() -> None:
    digits = all_digits()
    one, same, other = (choose(digits, number) for number in (0, 0, 1))
    assert (len(one.learn), len(one.test)) == (1000, 797)
    together = torch.cat([one.learn.images, one.test.images])
    assert together.unique(dim=0).equal(digits.images.unique(dim=0))
    assert one.learn.images.equal(same.learn.images)
    assert not one.learn.images.equal(other.learn.images)


def test_drawings_are_those_to_learn_from() -> None:
    choice = choose(all_digits(), 0)
    drawings = choice.drawings(3)
    assert drawings.labels.tolist() == [label for label in range(10) for _ in range(3)]
    learn = {image.numpy().tobytes() for image in choice.learn.images}
    assert all(image.numpy().tobytes() in learn for image in drawings.images)
    assert choice.drawings(1).images.equal(drawings.images[::3])


def test_enlarged_digits_fill_the_box_of_mnist() -> None:
    images = torch.full((2, 1, 8, 8), 255, dtype=torch.uint8)
    large = enlarged(images)
    assert large.shape == (2, 1, 28, 28)
    assert large[:, :, 4:24, 4:24].min() > 0.999
    assert large.sum().item() == pytest.approx(2 * 20 * 20, rel=1e-3)


def test_a_gain_is_said_with_its_spread() -> None:
    text = gain_in_words([70.0, 60.0, 80.0], [73.0, 59.0, 84.0])
    assert text.startswith("Measured gain, one drawing per class")
    assert text.endswith("+2.0 (-1.0 to +4.0) points, above zero in 2 of 3 choices.")


@pytest.mark.parametrize("after", [[70.0, 60.0], [69.0, 60.5]])
def test_no_gain_is_said(after: list[float]) -> None:
    text = gain_in_words([70.0, 60.0], after)
    assert text.startswith("No gain was measured")
    assert text.endswith("of 2 choices.")


def test_a_table_has_a_spread_per_column() -> None:
    text = table(["trained with", "one"], [{"nothing": [1.0, 3.0], "affine": [90.05]}])
    first, second, third = text.splitlines()
    assert first.split() == ["trained", "with", "one"]
    assert second == f"  {'nothing':<26}2.0 (1.0 to 3.0)"
    assert third.split(maxsplit=1) == ["affine", spread([90.05])]


def test_the_lines_of_python_run_and_are_the_distortion_that_was_measured() -> None:
    assert len(USE.splitlines()) == 4
    names: dict[str, object] = {}
    exec(USE.replace("v2.Compose", "transform = v2.Compose"), names)
    assert names["transform"](Image.new("L", (28, 28))).size == (28, 28)  # type: ignore[operator]
    redraw, moved = names["transform"].transforms  # type: ignore[attr-defined]
    assert redraw.extra_repr() == demonstration.VAEAugment("glyphs", strength=3).extra_repr()
    side = distortions.ROTATION
    assert moved.degrees == [-side, side]
    assert moved.shear == [-distortions.SHEAR, distortions.SHEAR]
    assert tuple(moved.scale) == distortions.SCALE
    assert moved.translate == pytest.approx([distortions.SHIFT] * 2, abs=2e-3)


def test_the_demo_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"CHOICES": 2, "TRANSFORM_UPDATES": 2, "SAMPLE_UPDATES": 5, "FIT_UPDATES": 10}
    for name, value in short.items():
        monkeypatch.setattr(demonstration, name, value)
    code, text = run_command("demo", "-o", tmp_path)
    assert code == 0
    assert "\nAudit: the strongest attack tells the digits it learned from others" in text
    assert text.endswith(f"choices.\n\n{USE}\n")
    rows = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  ")]
    assert rows == [
        "trained with",
        *("nothing", "VAEAugment", "affine", "VAEAugment, affine"),
        "a classifier saw",
        *("the images", "samples of the file only"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.onnx", "demo.png"]
    load(tmp_path / "demo.onnx", provider="cpu").probe()
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.size[0] > 600


@pytest.mark.slow
def test_the_demo_measures_a_gain(tmp_path: Path) -> None:
    code, text = run_command("demo", "-o", tmp_path)
    assert code == 0
    assert "\nMeasured gain, one drawing per class" in text
    assert "copy training images" not in text
    means = {
        line[2:28].strip(): float(line[28:].split()[0])
        for line in text.splitlines()
        if line.startswith("  ") and line[28].isdigit()
    }
    assert means["samples of the file only"] > means["the images"] - 3
    assert means["VAEAugment, affine"] > means["affine"]
