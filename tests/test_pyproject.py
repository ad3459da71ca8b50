"""pyproject.toml says what is there: the folders, the packages that are imported, the bounds."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers import ROOT
from vae_augment import __version__

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOLDERS = {"vae_augment": ROOT / "vae_augment", "vae_augment.exporters": ROOT / "exporters"}
# Where the name that is imported is not the name of the package.
PACKAGES = {
    "PIL": "pillow",
    "dp_accounting": "dp-accounting",
    "google": "onnx",  # which brings protobuf
    "sklearn": "scikit-learn",
}
# Imported where it is asked for, with a message of its own; no extra of ours.
BY_REQUEST = {"datasets", "pythae"}
FOR_DEVELOPERS = ("bench", "docs", "test")
LIGHT_ROOMS = ("model", "transforms", "datasets", "generation")


def names(requirements: Iterable[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def imported_packages(files: Iterable[Path]) -> set[str]:
    """The packages of others that the files import, at their top or in a function."""
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module is not None
                found.add(node.module.partition(".")[0])
    return {PACKAGES.get(name, name) for name in found - sys.stdlib_module_names}


def folders_with_code() -> set[str]:
    found = set()
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            inside = path.parent.relative_to(folder).parts
            found.add(".".join((package, *inside)))
    return found


def test_the_list_of_packages_has_every_folder() -> None:
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(listed)
    assert set(listed) == folders_with_code() | {"vae_augment.models"}


def test_all_that_is_imported_is_declared() -> None:
    extras = [requirements for name, requirements in EXTRAS.items() if name not in FOR_DEVELOPERS]
    declared = names(PROJECT["dependencies"]).union(*map(names, extras))
    files = [path for folder in FOLDERS.values() for path in folder.rglob("*.py")]
    assert imported_packages(files) - BY_REQUEST <= declared
    assert names(EXTRAS["tools"]) - {"onnxscript"} <= imported_packages(files)  # torch imports it


def test_a_training_script_needs_the_dependencies_alone() -> None:
    light = [*(ROOT / "vae_augment").glob("*.py")]
    for room in LIGHT_ROOMS:
        light += (ROOT / "vae_augment" / room).rglob("*.py")
    with_extras = ("formats.py", "hub.py", "ray_cluster.py")
    imported = imported_packages(path for path in light if path.name not in with_extras)
    assert imported - {"onnxruntime"} == names(PROJECT["dependencies"])


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_both_ways_to_install_bring_the_tools(extra: str) -> None:
    runtime, tools = EXTRAS[extra]
    assert Requirement(runtime).name == {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}[extra]
    assert tools == "vae-augment[tools]"


def test_pre_commit_runs_the_ruff_of_the_tests() -> None:
    configuration = (ROOT / ".pre-commit-config.yaml").read_text()
    (ruff,) = (text for text in EXTRAS["test"] if Requirement(text).name == "ruff")
    assert re.findall(r"ruff==[\d.]+", configuration) == [ruff, ruff]


def test_the_citation_has_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {__version__}\n" in citation
