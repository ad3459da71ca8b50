"""What the runs of a comparison say: means, paired differences with intervals, a table, and a recommendation."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .experiment import CLASSICAL, NOTHING, WITH_VAE, Run

CONFIDENCE = 0.95
NO_FIGURE = "-"
NO_AUGMENTATION = "none"
USES = {
    "strong VAE": "VAEAugment(MODEL, p=0.5, strength=3, residual=True) and no other augmentation",
    "thickness+affine+elastic+strong VAE": (
        "VAEAugment(MODEL, p=0.5, strength=3, residual=True) after thickness, affine and elastic distortion"
    ),
    "flip+shift+strong VAE": "VAEAugment(MODEL, p=0.5, strength=3, residual=True) after mirroring and shifting",
}


class Estimate(NamedTuple):
    """A mean over draws and half the width of its 95 % interval, which is infinite for a single draw."""

    mean: float
    half_width: float
    draws: int

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.mean + self.half_width

    def __str__(self) -> str:
        return f"{self.mean:+.2f}" + (f" ± {self.half_width:.2f}" if math.isfinite(self.half_width) else "")


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of `values` with its 95 % interval by Student's t, which a few draws need."""
    count = len(values)
    if count < 2:
        return Estimate(statistics.fmean(values), math.inf, count)
    from scipy.stats import t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Estimate(statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(count), count)


def paired(values: Mapping[int, float], base: Mapping[int, float]) -> Estimate | None:
    """The difference of `values` from `base`, each by draw, over the draws that both have; None where they share none.

    Draws differ far more from each other than two methods do on the same draw, so only the difference is telling.
    """
    shared = values.keys() & base.keys()
    return estimate([values[draw] - base[draw] for draw in sorted(shared)]) if shared else None


def advise(runs: Sequence[Run]) -> str:
    """A recommendation from the runs of one regime and data set, which hold methods with and without a VAE.

    A gain or a loss is called so when its 95 % interval does not hold 0. The best method with a VAE is judged against
    the best one without.
    """
    base = best_classical(runs)
    methods = by_method(run for run in runs if run.kind == WITH_VAE)
    method = max(methods, key=lambda name: estimate([*methods[name].values()]).mean)
    assert base is not None
    found = gain(runs, method, base)
    assert found is not None
    return f"{_without(runs, base)}\n{_verdict(found, method, base)}"


def _without(runs: Sequence[Run], base: str) -> str:
    found = None if base == NO_AUGMENTATION else gain(runs, base, NO_AUGMENTATION)
    if found is None:
        return "Without a VAE, no augmentation did best."
    return f"Without a VAE, {base} did best: {found} points over no augmentation."


def _verdict(found: Estimate, method: str, base: str) -> str:
    difference = f"{method}, {found} points against {'no augmentation' if base == NO_AUGMENTATION else base}"
    if not math.isfinite(found.half_width):
        return f"One draw cannot tell a gain from luck: {difference}. Give more draws."
    if found.low > 0:
        return f"VAE augmentation helps on your data: {difference}. Use {USES.get(method, method)}."
    if found.high < 0:
        return f"VAE augmentation is harmful on your data: {difference}. Leave it out."
    return (
        f"No measurable difference: {difference}, in {found.draws} draws. Leave the VAE out; more draws would narrow "
        "the interval."
    )


def by_method(runs: Iterable[Run]) -> dict[str, dict[int, float]]:
    """Accuracies by method and draw, of the runs of one regime and data set."""
    methods: dict[str, dict[int, float]] = {}
    for run in runs:
        methods.setdefault(run.method, {})[run.draw] = run.accuracy
    return methods


def best_classical(runs: Sequence[Run]) -> str | None:
    """The method without a VAE that did best on the test images: the hardest bar, chosen with hindsight."""
    methods = by_method(run for run in runs if run.kind == CLASSICAL)
    return max(methods, key=lambda method: estimate([*methods[method].values()]).mean, default=None)


def gain(runs: Sequence[Run], method: str, base: str) -> Estimate | None:
    """The paired difference between two methods of one regime and data set; None where no draw has both."""
    methods = by_method(runs)
    return paired(methods[method], methods[base]) if {method, base} <= methods.keys() else None


def detail_table(runs: Sequence[Run]) -> str:
    """One regime and data set, one row per method: mean, spread, and the paired difference from the best
    classical one."""
    best, rows = best_classical(runs), []
    facts = {run.method: run for run in runs}
    for method, values in by_method(runs).items():
        found = None if best is None or method == best else gain(runs, method, best)
        row = [_row_name(method, facts[method].trained_on), f"{facts[method].updates:,}"]
        row += [f"{estimate([*values.values()]).mean:.2f}", _spread([*values.values()])]
        rows.append([*row, NO_FIGURE if found is None else str(found), str(len(values))])
    return markdown(["accuracy, %", "updates", "mean", "sd", f"minus {best}, 95 %", "draws"], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is set to the left and the others to the right."""
    widths = [max(2, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (header, rule, *rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.stdev(values):.2f}" if len(values) > 1 else NO_FIGURE


def _row_name(method: str, trained_on: str) -> str:
    return method if trained_on == NOTHING else f"{method} (VAE: {trained_on})"
