"""The warning about options under which images are not reconstructed."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.exporters.test_onnx_pair import make_pair
from tests.exporters.test_pixel_values import GOOD, SHAPE, STANDARDISED
from tests.exporters.trained import RangeVAE, digits, share_of_error, trained
from tests.helpers import run_command
from vae_augment.exporters import export


def warned(caught: pytest.WarningsRecorder) -> str:
    (warning,) = caught
    assert warning.filename == __file__
    return str(warning.message)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        (("none", -1, 1), {"decoder_output": "logits"}),
        pytest.param(("none", 0, 1), {"decoder_output": "logits"}, marks=pytest.mark.slow),
        pytest.param(
            ("none", -1, 1, "logits"), {"decoder_output": "logits"}, marks=pytest.mark.slow
        ),
        pytest.param(("sigmoid", *STANDARDISED, "unit"), {}, marks=pytest.mark.slow),
        (("sigmoid", -1, 1, "unit"), {}),
    ],
    ids=str,
)
def test_options_that_reconstruct_better_are_named(
    source: tuple[Any, ...], wrong: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    given = {"image_shape": SHAPE, "images": digits(), "overwrite": True}
    with pytest.warns(UserWarning, match="Reconstructions of digits") as caught:
        export(trained(*source), path, **given, **wrong)
    advice = re.search(r"With (.+) they have \d+%: pass that", warned(caught))
    assert advice, warned(caught)
    export(trained(*source), path, **given, **eval(f"dict({advice[1]})"))
    assert share_of_error(path) < GOOD


def test_a_module_that_is_not_trained_is_said_to_be_poor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = RangeVAE("sigmoid").eval()
    with pytest.warns(UserWarning, match="Reconstructions of digits") as caught:
        export(module, tmp_path / "model.onnx", image_shape=SHAPE, images=digits())
    assert re.fullmatch(
        r"Reconstructions of digits have \d{3}% of the mean image's squared error, with neither "
        r"option. If the module is trained, image_range or decoder_output \(docs/export.md\) is "
        "wrong.",
        warned(caught),
    ), warned(caught)
    assert (tmp_path / "model.onnx").exists()


def test_a_good_module_and_a_checkpoint_are_not_warned_of(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(
            trained("tanh", -1, 1), tmp_path / "module.onnx", image_shape=SHAPE,
            image_range=(-1, 1), images=digits(),
        )  # fmt: skip
        export(tiny_checkpoint, tmp_path / "checkpoint.onnx", images=digits())


def test_the_command_line_prints_it_as_a_line(tmp_path: Path) -> None:
    encoder, decoder = make_pair(tmp_path)
    code, output = run_command(
        "export", "--encoder", encoder, "--decoder", decoder, "-o", tmp_path / "model.onnx",
        "--fit-latents", "digits",
    )  # fmt: skip
    assert code == 0, output
    assert re.search(r"^warning: Reconstructions of digits have \d+% of", output, re.M), output
