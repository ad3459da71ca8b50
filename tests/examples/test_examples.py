"""Every example runs as a script, with less training than it usually has."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHORT = {
    "anomalies": ["--epochs", "4"],
    "consistency": ["--epochs", "4", "--updates", "60"],
    "denoise": ["--epochs", "8"],
    "pseudo_labels": ["--updates", "80"],
}
PRINTED = {  # in each, `better` has to be larger than `worse`
    "anomalies": r" seen digits +(?P<worse>[\d.]+)\n.* unseen digits +(?P<better>[\d.]+)",
    "consistency": r"weight 0 .*: (?P<worse>[\d.]+) %\nweight 1 .*: (?P<better>[\d.]+) %",
    "denoise": r"noisy +(?P<worse>[\d.]+) dB\ncleaned +(?P<better>[\d.]+) dB",
    "pseudo_labels": r"(?P<worse>)labels guessed, (?P<better>[\d.]+) % of them right",
}
CHANCE = 10  # percent of right guesses


def test_every_example_is_run() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(SHORT)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_runs_and_shows_what_it_is_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [path.name, *SHORT[path.stem]])
    runpy.run_path(str(path), run_name="__main__")
    text = capsys.readouterr().out
    found = re.search(PRINTED[path.stem], text)
    assert found, text
    assert float(found["better"]) > float(found["worse"] or 2 * CHANCE), text
