"""Modules whose images are not in [0, 1]: exported rightly, or refused with advice that helps."""

import ast
import functools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.exporters.test_onnx_pair import make_pair, matrix
from tests.exporters.trained import digits, share_of_error, trained
from tests.helpers import run_command
from vae_augment import load
from vae_augment.errors import ExportError, InputError
from vae_augment.exporters import export
from vae_augment.exporters.pixel_values import PixelValues

GOOD = 0.4  # of the mean image's error; wrong options give 0.53 and more
DIGITS = digits().images.float() / 255
MEAN = DIGITS.mean().item()
STD = DIGITS.std().item()
STANDARDISED = ((0 - MEAN) / STD, (1 - MEAN) / STD)
SHAPE = (1, 8, 8)
slow = functools.partial(pytest.param, marks=pytest.mark.slow)


def advised(error: ExportError) -> dict[str, Any]:
    """The options that a message names, where it names one value for each."""
    options = re.findall(r"(image_range|decoder_output)=(\([-\d]+, [-\d]+\)|'\w+')", str(error))
    return {name: ast.literal_eval(value) for name, value in options}


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (("tanh", -1, 1), {"image_range": (-1, 1)}),
        slow(("none", -1, 1), {"image_range": (-1, 1)}),
        slow(("none", 0, 1), {"image_range": (0, 1)}),
        slow(("none", *STANDARDISED), {"image_range": STANDARDISED}),
        slow(("none", 0, 1, "logits"), {"decoder_output": "logits"}),
        (("none", -1, 1, "logits"), {"decoder_output": "logits", "image_range": (-1, 1)}),
        (
            ("sigmoid", *STANDARDISED, "unit"),
            {"decoder_output": "probabilities", "image_range": STANDARDISED},
        ),
        slow(("sigmoid", 0, 1), {}),
    ],
    ids=str,
)
def test_the_options_of_its_training_give_a_good_file(
    source: tuple[Any, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    report = export(trained(*source), path, image_shape=SHAPE, **options)
    assert report.worst <= 1e-5
    assert share_of_error(path) < GOOD


@pytest.mark.parametrize(
    ("source", "wrong", "advice"),
    [
        (("tanh", -1, 1), {}, {"image_range": (-1, 1)}),
        slow(("tanh", -1, 1), {"decoder_output": "logits"}, {"image_range": (-1, 1)}),
        slow(("none", 0, 1), {}, {"image_range": (0, 1)}),
        (("sigmoid", 0, 1), {"decoder_output": "logits"}, {}),
        (
            ("sigmoid", -1, 1, "unit"),
            {"image_range": (-1, 1)},
            {"decoder_output": "probabilities"},
        ),
        slow(
            ("sigmoid", -1, 1, "unit"),
            {"image_range": (-1, 1), "decoder_output": "logits"},
            {"decoder_output": "probabilities"},
        ),
        (
            ("none", -1, 1, "logits"),
            {"image_range": (-1, 1), "decoder_output": "probabilities"},
            {"decoder_output": "logits"},
        ),
    ],
    ids=str,
)
def test_advice_that_is_followed_gives_a_good_file(
    source: tuple[Any, ...], wrong: dict[str, Any], advice: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ExportError) as caught:
        export(trained(*source), path, image_shape=SHAPE, **wrong)
    assert advised(caught.value) == advice
    assert len(str(caught.value)) < 330
    kept = {name: value for name, value in wrong.items() if name == "image_range"}
    export(trained(*source), path, image_shape=SHAPE, **(kept | advice))
    assert share_of_error(path) < GOOD


def test_values_that_could_be_logits_or_pixels_name_both(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        export(trained("none", *STANDARDISED), tmp_path / "model.onnx", image_shape=SHAPE)
    for words in (
        "If they are logits, pass decoder_output='logits' (--decoder-output logits).",
        "(-1, 1), or ((0 - mean) / std, (1 - mean) / std) after v2.Normalize.",
    ):
        assert words in str(caught.value)


def test_a_range_that_would_cut_off_most_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"lie far outside image_range=\(0, 1\)"):
        export(
            trained("tanh", -1, 1), tmp_path / "model.onnx", image_shape=SHAPE, image_range=(0, 1)
        )
    assert list(tmp_path.iterdir()) == []


class Scaled(nn.Module):
    """A module that takes and gives the grey levels of another one in a range per channel."""

    def __init__(self, low: list[float], high: list[float]) -> None:
        super().__init__()
        black = torch.tensor(low, dtype=torch.float32).view(-1, 1, 1)
        white = torch.tensor(high, dtype=torch.float32).view(-1, 1, 1)
        self.register_buffer("low", black)
        self.register_buffer("width", white - black)
        self.enter = nn.Linear(3 * 64, 8)
        self.leave = nn.Linear(4, 3 * 64)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.enter(((x - self.low) / self.width).flatten(1)).chunk(2, 1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        return self.low + self.width * self.leave(z).sigmoid().view(-1, 3, 8, 8)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([-2.118, -2.036, -1.804], [2.249, 2.429, 2.640]),  # ImageNet's mean and std
        slow([0, 0, 0], [255, 255, 255]),
        slow([-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]),
    ],
)
def test_each_channel_may_have_its_own_range(
    low: list[float], high: list[float], tmp_path: Path
) -> None:
    module = Scaled(low, high).eval()
    path = tmp_path / "model.onnx"
    export(module, path, image_shape=(3, 8, 8), image_range=(low, high))
    model = load(path)
    images = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        mean, logvar = module.enter(images.flatten(1)).chunk(2, 1)
        decoded = module.leave(mean).sigmoid().view(-1, 3, 8, 8)
    torch.testing.assert_close(model.encode(images), (mean, logvar), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decode(mean), decoded, atol=1e-5, rtol=0)


def test_a_pair_of_onnx_files_has_a_range_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ExportError, match=r"image_range=\(-1, 1\)"):
        export(make_pair(tmp_path, last="Tanh"), path)
    report = export(make_pair(tmp_path, last="Tanh"), path, image_range=(-1, 1))
    assert report.worst <= 1e-5
    images = torch.rand(3, 1, 8, 8)
    mean, _ = load(path).encode(images)
    torch.testing.assert_close(mean, (2 * images - 1).flatten(1) @ matrix(1, 64, 4))
    expected = (1 + (mean @ matrix(3, 4, 64)).tanh().view(3, 1, 8, 8)) / 2
    torch.testing.assert_close(load(path).decode(mean), expected)
    assert load(path).spec.training["options"] == "image_range=(-1, 1)"


@pytest.mark.parametrize(
    "image_range",
    [(1, -1), (0, 0), (0, math.inf), (math.nan, 1), (0,), (0, 1, 2), ([0, 0], [1, 1, 1]), ([], []),
     "01", 1, (None, 1), ("a", "b")],
    ids=str,
)  # fmt: skip
def test_a_range_that_is_none_is_refused(image_range: Any) -> None:
    with pytest.raises(InputError, match=r"give \(low, high\), such as \(-1, 1\)"):
        PixelValues(image_range=image_range)


def test_a_range_for_other_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="numbers for 3 channels; the images have 1"):
        export(
            trained("tanh", -1, 1), tmp_path / "m.onnx", image_shape=SHAPE,
            image_range=([-1, -1, -1], [1, 1, 1]),
        )  # fmt: skip


def test_an_unknown_output_of_the_decoder_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        PixelValues("pixels")
    assert str(caught.value) == (
        "decoder_output is 'pixels'; choose from image, logits, probabilities."
    )


def test_a_checkpoint_needs_no_range(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which knows its image shape, classes and output"):
        export(tiny_checkpoint, tmp_path / "model.onnx", image_range=(-1, 1))


def test_the_command_line_takes_a_range(tmp_path: Path) -> None:
    encoder, decoder = make_pair(tmp_path, last="Tanh")
    command = ["export", "--encoder", encoder, "--decoder", decoder, "-o", tmp_path / "model.onnx"]
    code, output = run_command(*command)
    assert code == 1
    words = re.search(r"\((--image-range) (\S+)\)", output)
    assert words, output
    code, output = run_command(*command, *words.groups())
    assert code == 0, output
    assert load(tmp_path / "model.onnx").spec.training["options"] == "image_range=(-1, 1)"
    for text in ("1", "-1,1,2", "low,high"):
        code, output = run_command(*command, "--image-range", text)
        assert code == 2
        assert "give low,high, as in -1,1" in " ".join(output.split())
