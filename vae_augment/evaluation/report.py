"""What the runs of a comparison show: means, paired differences with intervals, a table, and advice."""

import math
import statistics
import warnings
from collections import Counter
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

Accuracies = Mapping[str, Mapping[int, float]]  # by method and draw


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


class Comparison(NamedTuple):
    """The gain of one kind of method over another, and the method of each kind that was chosen in most draws."""

    method: str
    base: str
    gain: Estimate


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of `values` with its 95 % interval by Student's t."""
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Estimate(mean, math.inf, count)
    from scipy.stats import ttest_1samp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # about equal values, whose interval has no width
        interval = ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return Estimate(mean, float(interval.high - interval.low) / 2, count)


def paired(values: Mapping[int, float], base: Mapping[int, float]) -> Estimate | None:
    """The difference of `values` from `base`, each by draw, over the draws that both have; None where they share none.

    Accuracies differ more between draws than between methods on one draw, so only paired differences are compared.
    """
    shared = values.keys() & base.keys()
    return estimate([values[draw] - base[draw] for draw in sorted(shared)]) if shared else None


def compare_kinds(methods: Accuracies, bases: Accuracies) -> Comparison:
    """Compare the best of `methods` with the best of `bases`, without favouring either by a choice in hindsight.

    In each draw, the two that have the best mean over all *other* draws are compared. The differences of two draws
    depend on choices that share the remaining draws, so they are correlated and the usual interval is too narrow; its
    variance is corrected as by Nadeau and Bengio, "Inference for the generalization error" (2003), equation 9, for
    one draw to judge on and all others to choose on.

    Args:
        methods, bases: at least one method each, with the same draws, at least two.
    """
    draws = sorted(next(iter(bases.values())))
    pairs = [(_best(methods, leave_out=draw), _best(bases, leave_out=draw)) for draw in draws]
    gains = [methods[method][draw] - bases[base][draw] for draw, (method, base) in zip(draws, pairs, strict=True)]
    gain, count = estimate(gains), len(draws)
    widening = math.sqrt(1 + count / (count - 1))
    chosen, bars = (Counter(names).most_common(1)[0][0] for names in zip(*pairs, strict=True))
    return Comparison(chosen, bars, gain._replace(half_width=widening * gain.half_width))


def _best(methods: Accuracies, leave_out: int | None = None) -> str:
    """The method with the best mean over its draws, without the draw `leave_out`."""
    means = {
        name: statistics.fmean(value for draw, value in values.items() if draw != leave_out)
        for name, values in methods.items()
    }
    return max(means, key=means.__getitem__)


def advise(runs: Sequence[Run]) -> str:
    """Advice from the runs of one regime and data set, in which every method has the same draws.

    A gain or a loss is called one when its 95 % interval (`compare_kinds`) does not contain 0.
    """
    classical, with_vae = (by_method(run for run in runs if run.kind == kind) for kind in (CLASSICAL, WITH_VAE))
    draws = len(next(iter(classical.values())))
    if draws < 2:
        method, base = _best(with_vae), _best(classical)
        difference = f"{method}, {gain(runs, method, base)} points against {_spoken(base)}"
        return f"One draw cannot tell a gain from luck: {difference}. Give more draws."
    without = compare_kinds(classical, {NO_AUGMENTATION: classical[NO_AUGMENTATION]})
    return "\n".join([_without(without), _verdict(compare_kinds(with_vae, classical)), CHOSEN])


CHOSEN = (
    "In each draw, the methods compared are those that did best in the other draws; named are those chosen most often."
)


def _without(found: Comparison) -> str:
    if found.method == NO_AUGMENTATION:
        return "Without a VAE, no augmentation did best."
    return f"Without a VAE, {found.method} did best: {found.gain} points over no augmentation."


def _verdict(found: Comparison) -> str:
    difference = f"{found.method}, {found.gain} points against {_spoken(found.base)}"
    if found.gain.low > 0:
        return f"VAE augmentation helps on your data: {difference}. Use {USES.get(found.method, found.method)}."
    if found.gain.high < 0:
        return f"VAE augmentation is harmful on your data: {difference}. Leave it out."
    return (
        f"No measurable difference: {difference}, in {found.gain.draws} draws. Leave the VAE out; more draws would "
        "narrow the interval."
    )


def _spoken(base: str) -> str:
    return "no augmentation" if base == NO_AUGMENTATION else base


def by_method(runs: Iterable[Run]) -> dict[str, dict[int, float]]:
    """Accuracies by method and draw, of the runs of one regime and data set."""
    methods: dict[str, dict[int, float]] = {}
    for run in runs:
        methods.setdefault(run.method, {})[run.draw] = run.accuracy
    return methods


def best_classical(runs: Sequence[Run]) -> str | None:
    """The method without a VAE with the best mean accuracy on the test images, if there is one: chosen in hindsight."""
    methods = by_method(run for run in runs if run.kind == CLASSICAL)
    return _best(methods) if methods else None


def gain(runs: Sequence[Run], method: str, base: str) -> Estimate | None:
    """The paired difference between two methods of one regime and data set; None where no draw has both."""
    methods = by_method(runs)
    return paired(methods.get(method, {}), methods.get(base, {}))


def detail_table(runs: Sequence[Run]) -> str:
    """One regime and data set, one row per method: mean, standard deviation, and the paired difference from the best
    classical one."""
    best, rows = best_classical(runs), []
    facts = {run.method: run for run in runs}
    for method, values in by_method(runs).items():
        difference = None if best is None or method == best else gain(runs, method, best)
        rows.append(
            [
                method if facts[method].trained_on == NOTHING else f"{method} (VAE: {facts[method].trained_on})",
                f"{facts[method].updates:,}",
                f"{statistics.fmean(values.values()):.2f}",
                f"{statistics.stdev(values.values()):.2f}" if len(values) > 1 else NO_FIGURE,
                NO_FIGURE if difference is None else str(difference),
                str(len(values)),
            ]
        )
    return markdown(["accuracy, %", "updates", "mean", "sd", f"minus {best}, 95 %", "draws"], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is aligned left and the others right."""
    widths = [max(2, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (header, rule, *rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"
