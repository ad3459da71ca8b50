"""The results that are committed say what they were measured on."""

import json
import re
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import samples
from benchmarks.benefit.__main__ import main
from benchmarks.benefit.chart import BARS, Bar, added
from benchmarks.benefit.regimes import REGIMES, with_shared
from benchmarks.benefit.results import Results, check_results, read_results, runs_of
from benchmarks.benefit.runs import facts
from benchmarks.benefit.targets import BEST, TARGETS, Target, reached, tables, target_table, verdict
from benchmarks.common import RESULTS, check_result, machine, rates
from vae_augment import load
from vae_augment.evaluation.experiment import NOTHING, Run
from vae_augment.evaluation.report import by_method, estimate
from vae_augment.training import ImageData

COMMITTED = sorted(RESULTS.glob("*.json"))
RATE = {"lower_quartile": 1.0, "median": 2.0, "upper_quartile": 3.0}


@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_committed_results_are_whole(path: Path) -> None:
    check_result(json.loads(path.read_text()))


def test_what_a_benchmark_saves_is_whole() -> None:
    rate = rates({"nothing": lambda: None}, images=1, repeats=3, least=1e-4)["nothing"]
    check_result(
        machine() | {"rows": [{"what": "a", "name": "nothing", "images_per_second": rate}]}
    )


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


BENEFIT = sorted(RESULTS.glob("benefit*.json"))
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- tables -->\n(.*?)\n<!-- end of tables -->", re.S)


@pytest.mark.parametrize("path", BENEFIT, ids=[path.stem for path in BENEFIT])
def test_committed_comparisons_are_whole(path: Path) -> None:
    check_results(json.loads(path.read_text()))


def test_the_docs_show_what_was_measured() -> None:
    block = BLOCK.search((ROOT / "docs" / "benefit.md").read_text())
    assert block, "docs/benefit.md has no block <!-- tables -->"
    runs = runs_of(read_results(RESULTS / "benefit.json"))
    assert len(runs) == 385
    assert block[1].strip() == tables(runs)


@pytest.mark.parametrize("bar", BARS, ids=[f"{bar.regime} {bar.data}" for bar in BARS])
def test_the_chart_compares_with_the_best_method_without_a_vae(bar: Bar) -> None:
    shared = with_shared(runs_of(read_results(RESULTS / "benefit.json")))
    runs = [run for run in shared if (run.regime, run.data) == (bar.regime, bar.data)]
    methods = by_method(run for run in runs if run.trained_on == NOTHING and run.kind != "ceiling")
    assert bar.base == max(methods, key=lambda name: estimate([*methods[name].values()]).mean)
    assert all(run.trained_on != NOTHING for run in runs if run.method == bar.method)
    assert added(bar, runs).draws == 5


def make_run(method: str, draw: int, percent: float) -> Run:
    kind, saw = ("VAE", "labelled only") if "VAE" in method else ("classical", "none")
    return Run("10 labels", "mnist", method, kind, saw, draw, 5000, percent, 1.0)


def measured(gains: list[float]) -> list[Run]:
    base = [make_run("affine+elastic", draw, 96.0 + draw) for draw in range(len(gains))]
    return base + [
        make_run("affine+elastic+strong VAE", draw, 96.0 + draw + more)
        for draw, more in enumerate(gains)
    ]


TARGET = Target(
    "10 labels", "mnist", "affine+elastic+strong VAE", "affine+elastic", 0.0, 0.3, (False, True)
)


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ([0.4, 0.5, 0.4], "aim met"),
        ([0.1, 1.5, -0.1], "must met"),  # 0.5 on average, but the interval reaches below 0
        ([0.1, 0.1, 0.1], "must met"),
        ([-0.1, -0.2, 0.1], "NOT MET"),
    ],
)
def test_a_target_needs_its_mean_and_its_interval(gains: list[float], word: str) -> None:
    runs = measured(gains)
    found = reached(TARGET, runs)
    assert found is not None
    assert verdict(TARGET, found) == word
    line = next(line for line in target_table(runs).splitlines() if "10 labels mnist" in line)
    assert line.endswith(f" {word} |")
    assert f"{sum(gains) / 3:+.2f} ± " in line


def test_targets_that_were_not_measured_say_so() -> None:
    assert target_table([]).count("not measured") == len(TARGETS)


def test_a_regime_shows_the_runs_that_another_one_lends_it() -> None:
    lent = replace(make_run("none", 0, 99.0), regime="synthetic only")
    own = replace(make_run("affine+elastic+gentle VAE", 0, 98.5), regime="all labels")
    part = tables([lent, own]).partition("### all labels, mnist")[2].partition("###")[0]
    assert [line.split("|")[1].strip() for line in part.splitlines() if "99.00" in line] == ["none"]


def test_targets_name_methods_that_exist() -> None:
    for target in TARGETS:
        regime = next(regime for regime in REGIMES if regime.name == target.regime)
        lender = next((other for other in REGIMES if other.name == regime.like), regime)
        names = {method.name for which in (regime, lender) for method in which.methods(target.data)}
        assert target.method in {method.name for method in regime.methods(target.data)}
        assert target.base in (None, BEST) or target.base in names


def test_benefit_prints_the_tables_of_a_file(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.json", facts("a test", "cpu", 1), {"updates": 5000})
    for run in measured([0.4, 0.5, 0.4]):
        results.add(run)
    command = [
        sys.executable,
        "-m",
        "benchmarks.benefit",
        "--table",
        "--output",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "### 10 labels, mnist" in done.stdout
    assert tables(results.runs) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--regimes", "10 labels,F"], "'F' is not one of 10 labels, 100 labels, 10 labels + pool"),
        (["--draws", "5:5"], "'5:5' is not FIRST:END"),
        (["--table", "--output", "no.json"], "No such file"),
    ],
)
def test_benefit_says_what_it_cannot_use(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benefit", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code
    assert message in f"{ended.value.code} {capsys.readouterr().err}"


def test_a_classifier_of_samples_is_paired_with_one_of_real_images(
    tiny_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    model, results = load(tiny_model_path), tmp_path / "r.jsonl"
    images = torch.randint(256, (200, *model.spec.image_shape), dtype=torch.uint8)
    data = ImageData(
        "noise", images, torch.arange(200) % len(model.spec.classes), model.spec.classes
    )
    monkeypatch.setattr(samples, "load_data", lambda name, root, train=True: data)
    monkeypatch.setattr(samples, "SAMPLES", 50)
    command = [
        "samples",
        str(tiny_model_path),
        "noise",
        "",
        str(results),
        "--updates",
        "2",
        "--draws",
        "0:2",
        "--kinds",
    ]
    for kinds in (
        ["real", "samples"],
        ["samples", "both"],
    ):  # "samples" are there already in the second run
        monkeypatch.setattr(sys, "argv", [*command, *kinds])
        samples.main()
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    found = [(row["draw"], row["kind"]) for row in rows]
    assert found == [
        (0, "real"),
        (0, "samples"),
        (1, "real"),
        (1, "samples"),
        (0, "both"),
        (1, "both"),
    ]
    apart = statistics.fmean(rows[at + 1]["accuracy"] - rows[at]["accuracy"] for at in (0, 2))
    assert (
        f"noise, 2 updates, samples of {model.sha256[:8]} minus real: {apart:+.2f}"
        in capsys.readouterr().out
    )


def test_both_kinds_of_images_are_as_many_samples_as_there_are(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_model_path)
    monkeypatch.setattr(samples, "SAMPLES", 50)
    black = torch.zeros(30, *model.spec.image_shape, dtype=torch.uint8)
    real = ImageData("real", black, torch.zeros(30, dtype=torch.int64), ("a",))
    images, labels = samples.images_of("both", model, real, seed=1)
    assert (len(images), images[50:].max(), labels[:4].tolist()) == (80, 0, [0, 1, 2, 3])
    made, _ = samples.images_of("samples", model, real, seed=1)
    assert torch.equal(made, images[:50])
    assert not torch.equal(made, samples.images_of("samples", model, real, seed=2)[0])
