"""What the runs of a comparison show.

Means, paired differences with intervals, a table, and advice.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .experiment import CLASSICAL, NOTHING, WITH_VAE, Run

NO_AUGMENTATION = "none"
FEWEST_TEST_IMAGES = 100  # for a verdict

Accuracies = Mapping[int, float]  # by draw
Correct = Mapping[tuple[str, int], NDArray[np.bool_]]  # by method and draw, for each test image


class Estimate(NamedTuple):
    """A mean over draws and half the width of its 95 % interval, which is infinite for a single draw."""

    mean: float
    half_width: float
    draws: int

    def __str__(self) -> str:
        return f"{self.mean:+.2f}" + (
            f" ± {self.half_width:.2f}" if math.isfinite(self.half_width) else ""
        )


class Comparison(NamedTuple):
    """The gain of the best of some methods over the best of others, and which of each were chosen most often."""

    method: str
    base: str
    gain: Estimate


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of `values` with its 95 % interval by Student's t."""
    mean = statistics.fmean(values)
    count = len(values)
    if count < 2:
        return Estimate(mean, math.inf, count)
    quantile = float(stats.t.ppf(0.975, count - 1))
    return Estimate(mean, quantile * statistics.stdev(values) / math.sqrt(count), count)


def paired(values: Accuracies, base: Accuracies) -> Estimate | None:
    """The mean difference of `values` from `base` over the draws that both have.

    None where they share none.
    """
    shared = values.keys() & base.keys()
    return estimate([values[draw] - base[draw] for draw in sorted(shared)]) if shared else None


def with_test_noise(
    found: Estimate, pairs: Iterable[tuple[str, str, int]], correct: Correct
) -> Estimate:
    """`found`, its interval widened by how much the difference may change with other test images.

    The spread over draws shows that only in part, because the draws often share their test images.

    Args:
        pairs: method, base and draw of each difference that `found` is the mean of.
        correct: of those methods; nothing is widened where it is empty.
    """
    if not correct:
        return found
    gains = np.mean(
        [correct[method, draw] * 1.0 - correct[base, draw] for method, base, draw in pairs], axis=0
    )
    standard_error = 100 * float(gains.std()) / math.sqrt(len(gains))
    return found._replace(half_width=math.hypot(found.half_width, 1.96 * standard_error))


def compare_best(
    methods: Mapping[str, Accuracies],
    bases: Mapping[str, Accuracies],
    correct: Correct | None = None,
) -> Comparison:
    """The difference between the best of `methods` and the best of `bases`, neither of them chosen in hindsight.

    On each draw, the two with the best mean over all *other* draws are compared. Such choices share
    most of their draws, so the interval is widened as in the corrected resampled t-test (Nadeau and
    Bengio, "Inference for the generalization error", 2003), and by `with_test_noise` if `correct`
    is given. All must have the same draws, at least two.
    """
    chosen, accuracies = _best_on_other_draws(methods)
    chosen_bases, base_accuracies = _best_on_other_draws(bases)
    gain = estimate((accuracies - base_accuracies).tolist())
    count = len(chosen)
    widening = math.sqrt(1 + count / (count - 1))
    gain = gain._replace(half_width=widening * gain.half_width)
    draws = sorted(next(iter(methods.values())))
    gain = with_test_noise(gain, zip(chosen, chosen_bases, draws, strict=True), correct or {})
    return Comparison(statistics.mode(chosen), statistics.mode(chosen_bases), gain)


def _best_on_other_draws(methods: Mapping[str, Accuracies]) -> tuple[list[str], np.ndarray]:
    """For each draw, the method with the best mean over the other draws, and its accuracy on this draw."""
    names = list(methods)
    values = np.array([[row[draw] for draw in sorted(row)] for row in methods.values()])
    best = (values.sum(1, keepdims=True) - values).argmax(0)
    return [names[index] for index in best], values[best, np.arange(len(best))]


def advise(runs: Sequence[Run], uses: Mapping[str, str]) -> str:
    """Advice from the runs of one regime and data set, in which all methods have the same draws.

    `uses` says for each method with a VAE how it is written in a pipeline.
    """
    classical, with_vae = (
        by_method(run for run in runs if run.kind == kind) for kind in (CLASSICAL, WITH_VAE)
    )
    if len({run.draw for run in runs}) < 2:
        return "One draw cannot tell a gain from luck. Repeat the comparison with more draws."
    correct = correct_answers(runs)
    count = min(map(len, correct.values()), default=FEWEST_TEST_IMAGES)
    if count < FEWEST_TEST_IMAGES:
        return (
            f"{count} test images cannot tell a gain from luck. Give at least "
            f"{FEWEST_TEST_IMAGES} to test on."
        )
    without = compare_best(classical, {NO_AUGMENTATION: classical[NO_AUGMENTATION]}, correct)
    first = "Without a VAE, no augmentation was chosen most often."
    if without.method != NO_AUGMENTATION:
        first = (
            f"Without a VAE, {without.method} was chosen most often: {without.gain} points "
            "against no augmentation."
        )
    return (
        f"{first}\n{_verdict(compare_best(with_vae, classical, correct), uses)}\nOn each draw, "
        "the methods compared are those that did best on the other draws, so a choice can lose; "
        "those named were chosen most often."
    )


def _verdict(found: Comparison, uses: Mapping[str, str]) -> str:
    base = "no augmentation" if found.base == NO_AUGMENTATION else found.base
    difference = f"{found.method}, {found.gain} points against {base}"
    gain = found.gain
    if gain.mean > gain.half_width:
        return f"VAE augmentation helps on your data: {difference}. Use {uses[found.method]}."
    if gain.mean < -gain.half_width:
        return f"VAE augmentation is harmful on your data: {difference}. Leave it out."
    return (
        f"No measurable difference: {difference}, in {gain.draws} draws. Leave the VAE out; more "
        "draws or test images would narrow the interval."
    )


def by_method(runs: Iterable[Run]) -> dict[str, dict[int, float]]:
    """Accuracies by method and draw, of the runs of one regime and data set."""
    methods: dict[str, dict[int, float]] = {}
    for run in runs:
        methods.setdefault(run.method, {})[run.draw] = run.accuracy
    return methods


def correct_answers(runs: Iterable[Run]) -> dict[tuple[str, int], NDArray[np.bool_]]:
    """Which test images each method got right on each draw.

    Empty for runs that were read from a file.
    """
    return {(run.method, run.draw): run.correct for run in runs if run.correct is not None}


def best_classical(runs: Sequence[Run]) -> str | None:
    """The method without a VAE that has the best mean on the test images, chosen in hindsight.

    None without any.
    """
    methods = by_method(run for run in runs if run.kind == CLASSICAL)
    return max(methods, key=lambda name: statistics.fmean(methods[name].values()), default=None)


def detail_table(runs: Sequence[Run]) -> str:
    """A row per method, of the runs of one regime and data set.

    Differences are from the best classical method.
    """
    best = best_classical(runs)
    methods = by_method(runs)
    rows = []
    facts = {run.method: run for run in runs}
    correct = correct_answers(runs)
    for method, values in methods.items():
        trained_on = facts[method].trained_on
        difference = None if best is None or method == best else paired(values, methods[best])
        if difference is not None:
            shared = sorted(values.keys() & methods[str(best)].keys())
            difference = with_test_noise(
                difference, [(method, str(best), draw) for draw in shared], correct
            )
        rows.append(
            [
                method if trained_on == NOTHING else f"{method} (VAE: {trained_on})",
                f"{facts[method].updates:,}",
                f"{statistics.fmean(values.values()):.2f}",
                f"{statistics.stdev(values.values()):.2f}" if len(values) > 1 else "-",
                "-" if difference is None else str(difference),
                str(len(values)),
            ]
        )
    return markdown(["accuracy, %", "updates", "mean", "sd", f"minus {best}, 95 %", "draws"], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is aligned left and the others right."""
    widths = [
        max(2, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))
    ]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in (header, rule, *rows):
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
