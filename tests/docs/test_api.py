"""docs/api.md lists every public name."""

import importlib
import re

import pytest

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
ROOMS = [
    "vae_augment",
    "vae_augment.evaluation",
    "vae_augment.exporters",
    "vae_augment.generation",
    "vae_augment.training",
    "vae_augment.transforms",
]


def documented(page: str) -> set[str]:
    """The names that the page shows the documentation of, or names in text."""
    shown = re.findall(r"^::: [\w.]*?(\w+)$", page, re.M)
    members = " ".join(re.findall(r"members: \[(.*?)\]", page))
    text = re.findall(r"`([A-Z_]{3,}|ImageRange|VAEAugmentError)`", page)
    return {*shown, *re.findall(r"\w+", members), *text}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room: str) -> None:
    names = set(importlib.import_module(room).__all__) - {"__version__"}
    assert names - documented(PAGE) == set()


def test_a_missing_name_is_noticed() -> None:
    names = documented(PAGE.replace("::: vae_augment.top_up", ""))
    assert "top_up" not in names
    assert "AugmentedDataset" in names
