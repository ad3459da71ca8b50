"""Tables of results, in Markdown that is aligned so that it reads as plain text too."""

import statistics
from collections.abc import Iterable, Sequence

from .arms import CLASSICAL, NOTHING
from .results import Run
from .statistics import Estimate, estimate, paired

COLUMNS = (
    "none",
    "duplicate",
    "affine",
    "affine+elastic",
    "flip+shift",
    "pool without VAE",
    "VAE only",
    "affine+elastic+VAE",
    "flip+shift+VAE",
    "extra real images",
    "affine+elastic+extra real images",
)
NO_FIGURE = "-"
Group = tuple[str, str]  # regime and data


def groups_of(runs: Iterable[Run]) -> dict[Group, list[Run]]:
    """The runs by regime and data, each in the order of their draws."""
    groups: dict[Group, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.draw):
        groups.setdefault((run.regime, run.data), []).append(run)
    return dict(sorted(groups.items()))


def by_arm(runs: Iterable[Run]) -> dict[str, dict[int, float]]:
    """Accuracies by arm and draw, of the runs of one regime and data set."""
    arms: dict[str, dict[int, float]] = {}
    for run in runs:
        arms.setdefault(run.arm, {})[run.draw] = run.accuracy
    return arms


def best_classical(runs: Sequence[Run]) -> str | None:
    """The arm without a VAE that did best on the test images: the hardest bar, chosen with hindsight."""
    arms = by_arm(run for run in runs if run.kind == CLASSICAL)
    return max(arms, key=lambda arm: estimate([*arms[arm].values()]).mean, default=None)


def gain(runs: Sequence[Run], arm: str, base: str) -> Estimate | None:
    """The paired difference between two arms of one regime and data set; None where no draw has both."""
    arms = by_arm(runs)
    return paired(arms[arm], arms[base]) if {arm, base} <= arms.keys() else None


def detail_table(runs: Sequence[Run]) -> str:
    """One regime and data set, an arm a row: mean, spread, and the paired difference from the best classical arm."""
    best, rows = best_classical(runs), []
    facts = {run.arm: run for run in runs}
    for arm, values in by_arm(runs).items():
        found = None if best is None or arm == best else gain(runs, arm, best)
        row = [_row_name(arm, facts[arm].trained_on), f"{facts[arm].updates:,}"]
        row += [f"{estimate([*values.values()]).mean:.2f}", _spread([*values.values()])]
        rows.append([*row, NO_FIGURE if found is None else str(found), str(len(values))])
    return markdown(["accuracy, %", "updates", "mean", "sd", f"less {best}, 95 %", "draws"], rows)


def wide_table(runs: Iterable[Run]) -> str:
    """All regimes and data sets, one row for each thing that a VAE was trained on, with the same columns.

    A figure of fewer draws than its row has is followed by their number.
    """
    rows = []
    for (regime, data), group in groups_of(runs).items():
        updates, draws = max(run.updates for run in group), len({run.draw for run in group})
        means = {arm: _mean([*values.values()], draws) for arm, values in by_arm(group).items()}
        for trained_on in dict.fromkeys(run.trained_on for run in group if run.trained_on != NOTHING):
            shown = {run.arm for run in group if run.trained_on in (NOTHING, trained_on)}
            cells = [means[arm] if arm in shown else NO_FIGURE for arm in COLUMNS]
            rows.append([f"{regime} {data}, VAE: {trained_on}; {updates:,} updates, {draws} draws", *cells])
    return markdown(["accuracy, %", *COLUMNS], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is set to the left and the others to the right."""
    widths = [max(2, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (header, rule, *rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


def _mean(values: Sequence[float], draws: int) -> str:
    return f"{estimate(values).mean:.2f}" + (f" ({len(values)})" if len(values) < draws else "")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.stdev(values):.2f}" if len(values) > 1 else NO_FIGURE


def _row_name(arm: str, trained_on: str) -> str:
    return arm if trained_on == NOTHING else f"{arm} (VAE: {trained_on})"
