"""The command line as a user meets it.

Real processes for the main path, typer's runner for the messages.
"""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from tests.helpers import run_command as run
from vae_augment import __version__, load
from vae_augment.cli import EXAMPLES, app
from vae_augment.generation import make_job
from vae_augment.generation import run as run_job
from vae_augment.generation.engines.ranks import run_serially
from vae_augment.training import FitConfig, ImageData, load_checkpoint, save_checkpoint
from vae_augment.training.trainer import Trainer

runner = CliRunner()


def test_fit_export_info_preview(tmp_path: Path) -> None:
    checkpoint, model, picture = (tmp_path / name for name in ("c.safetensors", "m.onnx", "p.png"))
    code, output = run(
        "fit", "digits", "-o", checkpoint, "--network", "conv-small", "--epochs", 2, "--conditional"
    )
    assert code == 0
    assert "1297 images (1, 8, 8) of 10 classes from digits" in output
    assert "epoch 2/2: loss " in output
    assert load_checkpoint(checkpoint).is_finished

    code, output = run("export", checkpoint, "-o", model)
    assert code == 0
    assert "tolerance 1e-05: ok" in output
    assert f'VAEAugment("{model}"' in output

    code, output = run("info", model)
    assert code == 0
    assert load(model).sha256 in output
    assert "1 x 8 x 8" in output

    code, output = run("preview", model, "digits", "-o", picture)
    assert (code, output) == (0, f"wrote {picture}\n")
    with Image.open(picture) as image:
        assert image.size[0] > 600


@pytest.mark.parametrize("command", [["export", "a.safetensors", "-o"], ["preview", "mnist", "-o"]])
def test_an_existing_output_is_kept(tmp_path: Path, command: list[str]) -> None:
    output = tmp_path / "there.bin"
    output.write_text("precious")
    code, text = run(*command, output)
    assert code == 1
    assert text.splitlines()[-1] == (
        f"error: {output} exists already and was left as it is. Pass --overwrite (overwrite=True) "
        "to replace it."
    )
    assert output.read_text() == "precious"


def test_missing_sources_say_what_to_do(tmp_path: Path) -> None:
    assert run("info", tmp_path / "no.onnx") == (
        1,
        f"error: There is no model '{tmp_path}/no.onnx': it is neither a bundled name (mnist, "
        "fashion-mnist, devanagari, bloodmnist, breastmnist, glyphs, strokes, objects) nor an existing file. Make a file with: vae-augment export "
        "CHECKPOINT -o model.onnx\n",
    )
    code, text = run("export", tmp_path / "no.safetensors", "-o", tmp_path / "m.onnx")
    assert code == 1
    assert "There is no checkpoint" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [["info"], ["preview", "-o", "p.png"], ["generate", "-n", 1, "-o", "made"]]
)
def test_a_checkpoint_in_place_of_a_model_is_told_apart(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[object]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = run(*command, tiny_checkpoint)
    assert code == 1
    assert text == (
        f"error: {tiny_checkpoint} is a checkpoint of a training, not a model file. Run first: "
        f"vae-augment export {tiny_checkpoint} -o {tiny_checkpoint.with_suffix('.onnx')}\n"
    )


@pytest.mark.parametrize("name", ["Fashion_MNIST", "fashion-mnsit", "FashionMNIST"])
def test_a_name_written_otherwise_is_suggested(name: str, tmp_path: Path) -> None:
    for command in (["info", name], ["label", name, "-o", tmp_path / "labels.npz"]):
        code, text = run(*command)
        assert code == 1
        assert ". Did you mean 'fashion-mnist'?" in text
    assert "Did you mean" not in run("info", "holiday-pictures")[1]


def test_a_resumed_run_says_where_it_goes_on(tmp_path: Path, digits: ImageData) -> None:
    checkpoint = tmp_path / "c.safetensors"
    trainer = Trainer(digits, FitConfig(network="conv-small", epochs=3))
    for _ in range(trainer.steps_per_epoch + 1):
        trainer.update()
    save_checkpoint(trainer.checkpoint(), checkpoint)
    command = "fit", "digits", "-o", checkpoint, "--network", "conv-small", "--epochs"
    assert "resuming" not in run(*command, 4)[1]
    code, output = run(*command, 3)
    assert code == 0
    assert f"\nresuming {checkpoint} in epoch 2/3\nepoch 2/3: loss " in output


@pytest.mark.parametrize("command", get_command(app).commands)
def test_help_ends_with_an_example_that_can_be_given(command: str) -> None:
    commands = get_command(app).commands
    code, text = run(command, "--help")
    assert code == 0
    example = shlex.split(text.partition("Example: vae-augment ")[2])
    assert example[0] == command
    commands[command].make_context(command, example[1:])


def test_an_option_means_the_same_in_all_commands() -> None:
    types: dict[str, set[object]] = {}
    kinds: dict[str, set[str]] = {}
    for command in EXAMPLES:
        for name, hint in get_type_hints(command).items():
            types.setdefault(name, set()).update(set(get_args(hint) or [hint]) - {type(None)})
        for parameter in get_command(app).commands[command.__name__].params:
            kinds.setdefault(parameter.name, set()).add(parameter.param_type_name)
    # audit names the test images, where other commands choose the test part of DATA.
    assert {name for name, found in types.items() if len(found) > 1} == {"test"}
    assert {name for name, found in kinds.items() if len(found) > 1} == {
        "model"
    }  # of compare, beside its DATA


OUTPUTS = [
    ["fit", "digits", "-o"],
    ["export", "c.safetensors", "-o"],
    ["preview", "mnist", "-o"],
    ["label", "digits", "-o"],
    ["embed", "mnist", "digits", "-o"],
    ["embed", "mnist", "digits", "-o", "latents.npz", "--plot"],
    ["compress", "mnist", "digits", "-o"],
    ["decompress", "mnist", "small.npz", "-o"],
    ["denoise", "mnist", "digits", "-o"],
    ["score", "mnist", "digits", "-o"],
    ["compare", "digits", "-o"],
]


@pytest.mark.parametrize("command", OUTPUTS, ids=" ".join)
def test_a_missing_folder_is_named_before_the_work(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vae_augment.training.data.named._digits", None)  # nothing is read before
    code, text = run(*command, "no/there.bin")
    assert (code, text.splitlines()[-1]) == (
        1,
        "error: There is no folder no for the output there.bin. Make it first.",
    )
    assert list(tmp_path.iterdir()) == []


def test_the_demo_names_a_missing_folder_before_the_work(tmp_path: Path) -> None:
    text = f"error: There is no folder {tmp_path}/no for the output demo.onnx. Make it first.\n"
    assert run("demo", "-o", tmp_path / "no") == (1, text)


def test_the_module_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "vae_augment", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"vae-augment {__version__}\n"


def test_ctrl_c_gives_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_augment.model.vae_model.load", interrupted)
    assert run("info", "mnist") == (130, "Interrupted.\n")


def test_output_that_nobody_reads_ends_the_command_quietly(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    job = make_job(
        tiny_model_path, 3, folder, format="npz", labels="balanced", seed=0, shard_size=None
    )
    run_job(job, run_serially)
    command = [sys.executable, "-m", "vae_augment", "generate", "-o", str(folder), "--verify"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.close()
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (141, "")
