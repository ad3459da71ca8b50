"""The README and the pages of docs/: links, pictures, blocks of Python, and tables of commands."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import consistency, figures
from benchmarks.common import read_lines
from vae_augment import load
from vae_augment.model.file import find_model
from vae_augment.model.sampling import draw_latents

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
REPOSITORY_PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks" / "README.md",
]
PAGES = [*REPOSITORY_PAGES, *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(#[\w-]+)?\)")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
COMMANDS: dict[str, Any] = runpy.run_path(str(DOCS / "make_commands.py"))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link, _ in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_links_that_are_checked_are_found() -> None:
    assert {link for link, _ in LINK.findall(README)} >= {
        "docs/benefit.md",
        "docs/pictures/start.png",
        "CONTRIBUTING.md",
    }


@pytest.mark.parametrize(
    "command",
    [
        "pip install -e '.[cpu]' && vae-augment demo",
        "pip install -e '.[cpu,test]' && python -m pytest -n 2 --dist loadfile",
    ],
)
def test_the_set_up_commands_stand_at_the_top_of_the_readme(command: str) -> None:
    assert command in README.splitlines()[:30]


def test_the_first_block_of_python_is_above_line_40() -> None:
    assert README.splitlines().index("```python") < 40


def test_pictures_are_small_and_all_shown() -> None:
    pictures = [DOCS / "benefit.png", *(DOCS / "pictures").glob("*.png")]
    text = "".join(page.read_text() for page in PAGES)
    for picture in pictures:
        assert picture.stat().st_size < (
            300_000 if picture.stem in ("benefit", "overview") else 100_000
        )
        with Image.open(picture) as image:
            assert image.width < 1000
        assert picture.name in text


def test_the_page_of_commands_says_what_help_says() -> None:
    page = COMMANDS["PAGE"].read_text()
    assert page == COMMANDS["filled"](page), "Run: python docs/make_commands.py"


def test_the_page_of_commands_has_all_of_them() -> None:
    assert set(re.findall(r"^### (\w+)$", COMMANDS["PAGE"].read_text(), re.M)) == set(
        COMMANDS["commands"]()
    )


def test_the_page_has_the_examples_of_help() -> None:
    page = COMMANDS["PAGE"].read_text()
    examples = [
        command.epilog.removeprefix("Example: ") for command in COMMANDS["commands"]().values()
    ]
    assert [example for example in examples if f"\n$ {example}\n" not in page] == []


def test_a_changed_table_of_options_is_noticed() -> None:
    page = COMMANDS["PAGE"].read_text().replace("`--latent-dim`", "`--latent-dims`")
    assert page != COMMANDS["filled"](page)


MODES = {
    f"{page.stem} {number}": block
    for page in sorted((DOCS / "modes").glob("*.md"))
    for number, block in enumerate(PYTHON.findall(page.read_text()))
}


@pytest.mark.parametrize("block", MODES.values(), ids=MODES.keys())
def test_blocks_of_modes_run_as_they_stand(block: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(block, "block", "exec"), names)
    augmented = names.get("augmented", names["images"])
    assert augmented.shape[1:] == (1, 28, 28)
    assert augmented.std() > 0


def test_there_is_a_block_for_each_mode() -> None:
    assert len(MODES) >= 6


# Of examples/denoise.py with five seeds, and of examples/anomalies.py with each digit left out.
ELSEWHERE = {"README.md": [("+", "3.84", "0.12"), ("", "0.75", "0.11")]}


def test_pages_and_readme_quote_differences_that_were_measured() -> None:
    measured = figures.table(figures.figures())
    measured += consistency.table(read_lines(consistency.FILE))
    for page in [ROOT / "README.md", DOCS / "index.md", DOCS / "benefit.md"]:
        text = page.read_text().replace("\u2212", "-")
        quoted = re.findall(r"([+-]?)(\d+\.\d\d) ± (\d+\.\d\d)", text)
        assert quoted
        unknown = [each for each in quoted if f"{each[1]} ± {each[2]}" not in measured]
        assert unknown == ELSEWHERE.get(page.name, []), page


FORMAT = (DOCS / "format.md").read_text()


def test_a_model_file_is_used_in_python_without_the_package(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_model_path, tmp_path / "model.onnx")
    (block,) = PYTHON.findall(FORMAT)
    kept = (
        "augmented=augmented, generated=generated, latent=latent, labels=labels, choice=choice, "
        "drawn=noise"
    )
    block += (
        f"import sys\nassert 'vae_augment' not in sys.modules\nnp.savez('out.npz', {kept}, "
        "**inputs)\n"
    )
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, timeout=120, check=True)
    with np.load(tmp_path / "out.npz") as content:
        out = dict(content)
    model = load(tiny_model_path, provider="cpu")
    inputs = {name: torch.from_numpy(out[name]) for name in ("image", "noise", "strength")}
    augmented = model.run("whole", inputs | {"label": torch.full((16,), -1)})[0]
    np.testing.assert_allclose(out["augmented"], augmented, atol=1e-5)
    latent = draw_latents(model.spec.latents, out["labels"], out["choice"][:, 0], out["drawn"])
    np.testing.assert_allclose(out["latent"], latent, atol=1e-5)
    generated = model.decode(torch.from_numpy(latent), torch.from_numpy(out["labels"]))
    np.testing.assert_allclose(out["generated"], generated, atol=1e-5)


def test_a_model_file_is_used_in_javascript(tmp_path: Path) -> None:
    node, paths = (
        shutil.which("node"),
        os.pathsep.join([str(ROOT / "node_modules"), os.environ.get("NODE_PATH", "")]),
    )

    def run(script: str) -> subprocess.CompletedProcess[str]:
        command, places = [str(node), "-e", script], os.environ | {"NODE_PATH": paths}
        return subprocess.run(
            command, cwd=tmp_path, env=places, capture_output=True, text=True, timeout=120
        )

    if not node or run("require('onnxruntime-node')").returncode:
        pytest.skip("needs node, and its package onnxruntime-node in node_modules/ or NODE_PATH")
    shutil.copy(find_model("mnist"), tmp_path / "model.onnx")
    (block,) = re.findall(r"^```js\n(.*?)^```$", FORMAT, re.M | re.S)
    done = run(block)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("[ 16, 1, 28, 28 ] Float32Array(5)")
