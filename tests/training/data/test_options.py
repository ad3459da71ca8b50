"""The options of reading: in Python, and as `--read NAME=VALUE` of the commands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from tests.helpers import run_command
from vae_augment.cli import app
from vae_augment.errors import InputError
from vae_augment.training.data.options import advice, parsed_options

from .pictures import NOISE

LABELS = np.arange(40) % 2
WITH_DATA = {
    "fit", "preview", "evaluate", "compare", "label", "embed", "compress", "denoise",
    "score", "export", "generate",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", False),
        ("label_column", "kind"),
        ("label_column", "two words"),
        ("value_range", (0, 4095)),
        ("value_range", (-1, 1)),
        ("frames", "all"),
        ("split", "val"),
        ("background", "black"),
    ],
)
def test_what_is_advised_for_the_command_line_means_the_same(name: str, value: Any) -> None:
    text = advice(name, value)
    assert text.startswith(f"{name}={value!r} (--read {name}=")
    written = text.partition("--read ")[2].removesuffix(")").replace("'", "")
    assert parsed_options([written]) == {name: value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", "--read colour=red names no option; give NAME=VALUE with one of split, "),
        ("backgroud=red", "Did you mean 'background'?"),
        ("labels=maybe", "--read labels=maybe: labels takes yes or no."),
        ("value_range=5", "value_range takes LOWEST,HIGHEST."),
        ("limit=5", "names no option"),
        ("labels", "labels takes yes or no"),
    ],
)
def test_options_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed_options([text])
    assert message in str(caught.value)


def test_every_command_that_takes_data_takes_the_options() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {
        name
        for name, command in commands.items()
        if any("--read" in parameter.opts for parameter in command.params)
    }
    assert found >= WITH_DATA
    has_data = {
        name
        for name, command in commands.items()
        if any(parameter.name in ("data", "root") for parameter in command.params)
    }
    assert has_data <= found


def several_labels(root: Path) -> Path:
    images = np.resize(NOISE[:, 0] // 16, (40, 8, 8))  # 0 to 15
    np.savez(root / "x.npz", images=images, labels=np.zeros((40, 3), int), kind=LABELS)
    return root / "x.npz"


@pytest.mark.filterwarnings("default:.*x.npz")
def test_commands_read_as_they_are_told(tiny_model_path: Path, tmp_path: Path) -> None:
    data, output = several_labels(tmp_path), tmp_path / "scores.csv"
    code, text = run_command("score", tiny_model_path, data, "-o", output)
    assert code == 1
    assert "leave the labels out: labels=False (--read labels=no)" in text
    code, text = run_command("score", tiny_model_path, data, "-o", output, "--read", "labels=no")
    assert code == 0
    assert "warning: " in text
    assert "(--read value_range=0,15)" in text
    options = ("--read", "label_column=kind", "--read", "value_range=0,15", "--overwrite")
    code, text = run_command("score", tiny_model_path, data, "-o", output, *options)
    assert (code, "warning" in text) == (0, False)
    labels = [line.split(",")[1] for line in output.read_text().splitlines()[1:]]
    assert labels == list(map(str, LABELS))


@pytest.mark.filterwarnings("default:.*x.npz")
def test_compare_reads_as_it_is_told(tiny_model_path: Path, tmp_path: Path) -> None:
    data = several_labels(tmp_path)
    options = ("--read", "label_column=kind", "--read", "value_range=0,15")
    sizes = ("--repetitions", 1, "--updates", 1, "--workers", 1, "--model", tiny_model_path)
    code, text = run_command("compare", data, *sizes, *options)
    assert code == 0, text
    assert "32 labelled images and 8 to test on" in text
