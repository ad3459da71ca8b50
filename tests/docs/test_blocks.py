"""The code of README and pages: Python runs in small, commands are parsed, the main ones run."""

import multiprocessing
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torchvision import datasets

from tests.docs.blocks import FENCE, FewImages, blocks, commands
from tests.helpers import DATA, ROOT, needs_mnist, run_command
from vae_augment.cli import app

README = "README.md"
GUIDES = [
    "docs/index.md",
    "docs/train_from_a_file.md",
    "docs/compose.md",
    "docs/own_images.md",
    "docs/privacy.md",
    "docs/export.md",
    "docs/clean_and_judge.md",
]
PAGES = [README, *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))]
SMALLER = {
    "length=300_000": "length=300",
    "length=6_000": "length=200",
    "range(1_000)": "range(2)",
    "range(5)": "range(1)",
    "FitConfig(minutes=2)": 'FitConfig(network="conv-small", epochs=1)',
    "epochs=60": "epochs=1",
}
WITH_PICTURE = ["docs/benefit.md", "docs/scale.md", *GUIDES]
WIDEST = 80  # characters of a line of code that a page's box holds


@pytest.fixture
def place(tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with mine.onnx, where torchvision's data sets are a few grey images."""
    shutil.copy(tiny_model_path, tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(datasets, name, FewImages)
    method = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield tmp_path
    multiprocessing.set_start_method(method, force=True)


def run_blocks(page: str) -> dict[str, Any]:
    """What the page's blocks of Python leave behind, each going on from the ones before it."""
    names: dict[str, Any] = {"__name__": "block"}
    for number, block in enumerate(blocks(page, "python")):
        for usual, small in SMALLER.items():
            block = block.replace(usual, small)
        exec(compile(block, f"{page} {number}", "exec"), names)
    return names


@pytest.mark.parametrize("page", [README, *GUIDES])
def test_the_python_of_a_page_runs_as_it_stands(
    page: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_blocks(page)
    assert "vae_augment" in "".join(blocks(page, "python"))
    if page == README:
        printed = capsys.readouterr().out.split()
        assert len(printed) == 3
        assert all(0 <= float(each) <= 100 for each in printed)
    if "images" in names:
        assert names["images"].shape[1:] == (1, 28, 28)


@pytest.mark.parametrize(("logit", "is_sure"), [(3.5, False), (5.5, True)])
def test_images_without_a_label_count_where_the_answer_is_sure(
    logit: float, is_sure: bool, place: Path
) -> None:
    loss_of = run_blocks("docs/compose.md")["loss_of"]
    images = torch.rand(6, 1, 28, 28)
    labels = torch.arange(6)
    layer = torch.nn.Linear(784, 10)
    layer.weight.data.zero_()
    layer.bias.data = torch.tensor([logit] + 9 * [0.0])
    loss = loss_of(torch.nn.Sequential(torch.nn.Flatten(), layer), images, labels, images)
    answers = layer.bias.log_softmax(0)
    expected = -answers[labels].mean() - is_sure * answers[0]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_options_of_reading_run(place: Path) -> None:
    (place / "scans" / "val" / "bone").mkdir(parents=True)
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    Image.fromarray(pixels).save(place / "scans" / "val" / "bone" / "1.png")
    run_blocks("docs/data.md")


def test_the_sketch_of_an_engine_runs(place: Path) -> None:
    (block,) = blocks("docs/scale.md", "python")
    exec(block.replace("1_000_000", "50"), {"my_cluster_map": map})
    assert (place / "out" / "manifest.json").exists()


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_commands(page: str) -> None:
    group = typer.main.get_command(app)
    for name, *arguments in commands(page):
        words = ["1" if word.startswith("$") else word for word in arguments]
        command = group.commands[name]  # type: ignore[attr-defined]
        context = command.make_context(name, words)
        assert context.params or name in ("demo", "models"), (page, name, arguments)


def test_commands_are_found() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 40
    assert ["export", "pythae_folder", "-o", "model.onnx"] in commands(README)


SHORTER = {
    "fit": ["--network", "conv-small", "--epochs", "1", "--no-check"],
    "compare": [
        "--repetitions",
        "2",
        "--updates",
        "2",
        "--method",
        "affine+elastic",
        "--workers",
        "1",
    ],
}


@pytest.mark.parametrize(
    "page", ["docs/benefit.md", "docs/own_images.md", "docs/clean_and_judge.md"]
)
def test_the_first_commands_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = len(blocks(page, "console")[0].splitlines())
    for name, *arguments in commands(page)[:first]:
        words = ["digits" if word == "FOLDER" else word for word in arguments]
        code, output = run_command(name, *words, *SHORTER.get(name, []))
        assert code == 0, output


def test_a_file_is_audited_and_gets_a_card(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_model_path, "mine.onnx")
    for name, *arguments in commands("docs/privacy.md")[:2]:
        words = ["digits" if word in ("FOLDER", "OTHER") else word for word in arguments]
        code, output = run_command(name, *words)
        assert code == 0, output
    assert Path("closest.png").exists()
    assert Path("README.md").read_text().startswith("---\n")


@pytest.mark.parametrize("page", WITH_PICTURE)
def test_a_guide_starts_with_code_and_shows_a_picture(page: str) -> None:
    text = (ROOT / page).read_text()
    start = text.partition("\n```")[0]
    assert len(start.splitlines()) < 20, start
    assert ".png)" in text


# Those of the modes, of which the tests of test_pages run each block, are wider as yet.
@pytest.mark.parametrize("page", [page for page in PAGES if "modes" not in page])
def test_code_fits_its_box(page: str) -> None:
    long = [
        line
        for _, block in FENCE.findall((ROOT / page).read_text())
        for line in block.splitlines()
        if len(line) > WIDEST
    ]
    assert long == []


def test_the_readme_and_the_page_train_alike() -> None:
    assert blocks(README, "python")[0] == blocks("docs/train_from_a_file.md", "python")[0]


@pytest.mark.slow
@needs_mnist
@pytest.mark.timeout(1800)
def test_the_readmes_figures_are_those_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(DATA)
    names: dict[str, Any] = {}
    for block in blocks(README, "python"):
        exec(compile(block, README, "exec"), names)
    alone, *pairs = map(float, capsys.readouterr().out.split())
    text = (ROOT / README).read_text()
    (claimed,) = re.findall(r"It prints ([\d.]+):", text)
    assert alone == pytest.approx(float(claimed), abs=0.3)
    gains = torch.tensor(pairs[1::2]) - torch.tensor(pairs[::2])
    (claimed,) = re.findall(r"^([\d.]+) ± [\d.]+ points more", text, re.M)
    assert gains.mean().item() == pytest.approx(float(claimed), abs=1.5)
    assert (gains > 0).all()
