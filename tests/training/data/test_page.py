"""docs/data.md shows the cases that the tests run."""

import runpy
from typing import Any

from tests.helpers import ROOT

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "make_data.py"))
PAGE = SCRIPT["PAGE"].read_text()


def test_the_page_shows_the_cases() -> None:
    assert SCRIPT["filled"](PAGE) == PAGE, "Run: python docs/make_data.py"


def test_a_changed_table_is_noticed() -> None:
    changed = PAGE.replace("| animated PNG |", "| animated PNGs |")
    assert changed != PAGE
    assert SCRIPT["filled"](changed) == PAGE


def test_each_kind_has_at_least_five_cases() -> None:
    assert min(len(cases) for cases in SCRIPT["CASES"].values()) >= 5
    assert all(f"<!-- cases of {kind} -->" in PAGE for kind in SCRIPT["CASES"])
