"""The notebooks run from top to bottom, and are kept with small pictures of what they gave."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
RUN = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.execute(notebook, cwd=sys.argv[2], timeout=600)
nbformat.write(notebook, sys.argv[3])
"""
LARGEST = 100_000  # bytes, pictures included

NAMES = [path.stem for path in NOTEBOOKS]


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each cell of code."""
    cells = json.loads(path.read_text())["cells"]
    return [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]


def pictures(path: Path) -> int:
    """How many cells end with a picture."""
    return sum("image/png" in output.get("data", {}) for cell in outputs(path) for output in cell)


def test_both_notebooks_are_there() -> None:
    assert NAMES == ["own_images", "quickstart"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_are_kept_small_and_without_errors(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    assert pictures(path) >= 2
    kinds = {output["output_type"] for cell in outputs(path) for output in cell}
    assert kinds == {"stream", "execute_result"}
    assert "stderr" not in {output.get("name") for cell in outputs(path) for output in cell}
    assert str(ROOT) not in path.read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran.ipynb"
    command = [sys.executable, "-c", RUN, str(path), str(tmp_path), str(ran)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert pictures(ran) == pictures(path)
