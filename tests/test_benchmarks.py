"""The results that are committed say what they were measured on."""

import json
from pathlib import Path

import pytest

from benchmarks.common import RESULTS, check_result, machine, rates

COMMITTED = sorted(RESULTS.glob("*.json"))
RATE = {"lower_quartile": 1.0, "median": 2.0, "upper_quartile": 3.0}


@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_committed_results_are_whole(path: Path) -> None:
    check_result(json.loads(path.read_text()))


def test_what_a_benchmark_saves_is_whole() -> None:
    rate = rates({"nothing": lambda: None}, images=1, repeats=3, least=1e-4)["nothing"]
    check_result(machine() | {"rows": [{"what": "a", "name": "nothing", "images_per_second": rate}]})


def test_a_result_without_the_facts_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say: cpu, versions"):
        check_result({"cores": 2, "threads": 2, "python": "3.12"})


@pytest.mark.parametrize(
    "row",
    [
        {"what": "a", "images_per_second": RATE},
        {"what": "a", "name": "b", "images_per_second": {"median": 2.0}},
        {"what": "a", "name": "b", "images_per_second": RATE | {"median": 4.0}},
    ],
    ids=["no name", "no quartiles", "median outside"],
)
def test_a_row_that_is_not_whole_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not whole"):
        check_result(machine() | {"rows": [row]})
