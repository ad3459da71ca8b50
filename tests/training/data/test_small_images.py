"""Tiny, odd and long images: every command that takes them works, or the first one refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import run_command
from vae_augment.cli import app  # noqa: F401 (imported once, not in each test)
from vae_augment.evaluation.classifier import small_cnn, strided_cnn, train_classifier
from vae_augment.evaluation.pseudo_labels import contrastive_features
from vae_augment.training import load_data
from vae_augment.training.data import to_float

from .cases import Case

SHAPES = [(1, 1), (2, 2), (3, 5), (1, 40), (5, 7)]


def npz(shape: tuple[int, ...]) -> Callable[[Path], Path]:
    """Twenty images of two classes, dark and bright."""

    def make(root: Path) -> Path:
        labels = np.arange(20) % 2
        images = np.random.default_rng(0).integers(0, 120, (20, *shape))
        images = images + 130 * labels.reshape(-1, *[1] * len(shape))
        np.savez(root / "x.npz", images=images.astype(np.uint8), labels=labels)
        return root / "x.npz"

    return make


def case(given: str, shape: tuple[int, ...], **more: Any) -> Case:
    return Case(given, npz(shape), **more)


AMBIGUOUS = "Here either axis could be that of the channels"
CASES = [
    case("grey images of 1 x 1 as [N, H, W]", (1, 1)),
    case("grey images of 1 x 1 as [N, 1, H, W]", (1, 1, 1)),
    case("grey images of 1 x 200 as [N, H, W]", (1, 200)),
    case("grey images of 3 x 5 as [N, H, W]", (3, 5)),
    case("colour images of 5 x 7 as [N, H, W, 3]", (5, 7, 3)),
    case("colour images of 2 x 2 as [N, 3, H, W]", (3, 2, 2)),
    case("images of 1 x 200 as [N, 1, 200, 3]", (1, 200, 3), error=AMBIGUOUS),
    case("images of 200 x 1 as [N, 3, 200, 1]", (3, 200, 1), error=AMBIGUOUS),
    case("flat rows as [N, 64]", (64,), error=r"Flat rows: images\.reshape\(-1, height, width\)"),
    case("no pixels", (0, 8), error=r"shape \(1, 0, 8\), which have no pixels"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shapes(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def run(*arguments: object) -> str:
    code, text = run_command(*arguments)
    assert code == 0, text
    return text


@pytest.mark.parametrize("shape", [pytest.param((1, 1), marks=pytest.mark.slow), (3, 5)], ids=str)
def test_fit_and_what_takes_the_images_with_the_model(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    data, model = npz(shape)(tmp_path), tmp_path / "m.onnx"
    run("fit", data, "-o", tmp_path / "m.safetensors", "--epochs", 1, "--network", "conv-small")
    run("export", tmp_path / "m.safetensors", "-o", model)
    run("preview", model, data, "-o", tmp_path / "p.png")
    run("score", model, data, "-o", tmp_path / "s.csv", "--plot", tmp_path / "s.png")
    run("embed", model, data, "-o", tmp_path / "e.npz")
    run("compress", model, data, "-o", tmp_path / "c.npz")
    run("decompress", model, tmp_path / "c.npz", "-o", tmp_path / "d.npz")
    run("denoise", model, data, "-o", tmp_path / "n.png")
    run("evaluate", model, data, "-n", 3, "--samples", 2)
    command = (
        "compare",
        data,
        "--model",
        model,
        "--repetitions",
        1,
        "--updates",
        1,
        "--workers",
        1,
    )
    assert "16 labelled images and 4 to test on" in run(*command)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_networks_that_halve_the_sides_twice(shape: tuple[int, int], tmp_path: Path) -> None:
    data = load_data(npz(shape)(tmp_path))
    images = to_float(data.images)
    for network in (small_cnn, strided_cnn):
        assert network(data.image_shape, 3)(images).shape == (20, 3)
    train_classifier(images, data.labels, 2, updates=2)
    assert contrastive_features(images, 2, 0).shape == (20, 128)


@pytest.mark.parametrize("sides", [(4, 4), (9, 9), (28, 28), (5, 7)])
def test_the_classifier_of_other_images_is_as_it_was(sides: tuple[int, int]) -> None:
    height, width = sides
    hidden = small_cnn((1, height, width), 2)[8]
    assert hidden.in_features == 64 * (height // 4) * (width // 4)
    assert not small_cnn((1, height, width), 2)[1].ceil_mode


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_model_conditioned_on_an_image_is_refused_by_fit(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    data = npz(shape)(tmp_path)
    code, text = run_command("fit", data, "-o", tmp_path / "m.safetensors", "--redraw")
    assert code == 1
    assert "needs sides that are multiples of 4" in text
