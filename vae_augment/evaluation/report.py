"""What the runs of a comparison show: a table, and advice."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .intervals import Gain, gain_of_best, paired, with_test_noise
from .methods import NO_AUGMENTATION
from .runs import Run

FEWEST_TEST_IMAGES = 100  # for advice


def advise(runs: Sequence[Run], usages: Mapping[str, str]) -> str:
    """Whether to use a VAE.

    Args:
        runs: of all methods, each on the same repetitions.
        usages: how each method with a VAE is written by a user.
    """
    correct = correct_answers(runs)
    if len({run.seed for run in runs}) < 2:
        return "One repetition cannot tell a gain from luck. Give more: --repetitions 3 (draws=3)."
    test_images = min(map(len, correct.values()))
    if test_images < FEWEST_TEST_IMAGES:
        return (
            f"{test_images} test images cannot tell a gain from luck. Give at least "
            f"{FEWEST_TEST_IMAGES} to test on."
        )
    without_vae = by_method(run for run in runs if not run.has_vae)
    with_vae = by_method(run for run in runs if run.has_vae)
    none = {NO_AUGMENTATION: without_vae[NO_AUGMENTATION]}
    lines = [_best_without_vae(gain_of_best(without_vae, none, correct))]
    if with_vae:
        lines.append(_conclusion(gain_of_best(with_vae, without_vae, correct), usages))
    lines.append(
        "In each repetition, the methods compared are those that did best in the others, so a "
        "choice can lose; those named were chosen most often."
    )
    return "\n".join(lines)


def _best_without_vae(gain: Gain) -> str:
    if gain.method == NO_AUGMENTATION:
        return "Without a VAE, no augmentation was chosen most often."
    return (
        f"Without a VAE, {gain.method} was chosen most often: {gain.points} points against no "
        "augmentation."
    )


def _conclusion(gain: Gain, usages: Mapping[str, str]) -> str:
    base = "no augmentation" if gain.base == NO_AUGMENTATION else gain.base
    points = gain.points
    difference = f"{gain.method}, {points} points against {base}"
    if points.mean > points.half_width:
        return f"VAE augmentation helps on your data: {difference}. Use {usages[gain.method]}."
    if points.mean < -points.half_width:
        return f"VAE augmentation is harmful on your data: {difference}. Leave it out."
    return (
        f"No measurable difference: {difference}, in {points.repetitions} repetitions. Leave the "
        "VAE out; more repetitions or test images would narrow the interval."
    )


def by_method(runs: Iterable[Run]) -> dict[str, dict[int, float]]:
    """Accuracies by method and seed."""
    methods: dict[str, dict[int, float]] = {}
    for run in runs:
        methods.setdefault(run.method, {})[run.seed] = run.accuracy
    return methods


def correct_answers(runs: Iterable[Run]) -> dict[tuple[str, int], NDArray[np.bool_]]:
    """Which test images are answered correctly, by method and seed."""
    return {(run.method, run.seed): run.correct for run in runs}


def detail_table(runs: Sequence[Run]) -> str:
    """A row per method, in Markdown.

    The differences are from the method without a VAE that has the best mean on the test images,
    which is the hardest comparison.
    """
    accuracies = by_method(runs)
    best = _best_in_hindsight(by_method(run for run in runs if not run.has_vae))
    correct = correct_answers(runs)
    trained_on = {run.method: run.trained_on for run in runs if run.has_vae}
    rows = []
    for method, values in accuracies.items():
        difference = None if method == best else paired(values, accuracies[best])
        if difference is not None:
            pairs = [(method, best, seed) for seed in values]
            difference = with_test_noise(difference, pairs, correct)
        vae = f" (VAE: {trained_on[method]})" if method in trained_on else ""
        mean = statistics.fmean(values.values())
        deviation = f"{statistics.stdev(values.values()):.2f}" if len(values) > 1 else "-"
        rows.append([f"{method}{vae}", f"{mean:.2f}", deviation, str(difference or "-")])
    return markdown(["accuracy, %", "mean", "sd", f"minus {best}, 95 %"], rows)


def _best_in_hindsight(methods: Mapping[str, Mapping[int, float]]) -> str:
    return max(methods, key=lambda name: statistics.fmean(methods[name].values()))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is aligned left and the others right."""
    widths = [
        max(2, *(len(row[column]) for row in (header, *rows))) for column in range(len(header))
    ]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in (header, rule, *rows):
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *numbers])} |")
    return "\n".join(lines)
