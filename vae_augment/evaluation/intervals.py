"""Means over repetitions, and how far they may be off.

Accuracies are given by seed, so that two methods are compared on the same repetitions.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Accuracies = Mapping[int, float]  # by seed, in percent
Correct = Mapping[tuple[str, int], NDArray[np.bool_]]  # by method and seed, for each test image


class Estimate(NamedTuple):
    """A mean over repetitions, and half the width of its 95 % interval: infinite for one."""

    mean: float
    half_width: float
    repetitions: int

    def __str__(self) -> str:
        mean = f"{self.mean:+.2f}"
        return f"{mean} ± {self.half_width:.2f}" if math.isfinite(self.half_width) else mean


class Gain(NamedTuple):
    """How much better the best of some methods is than the best of others.

    `method` and `base` are those that were chosen most often.
    """

    method: str
    base: str
    points: Estimate


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of `values` with its 95 % interval by Student's t."""
    mean = statistics.fmean(values)
    count = len(values)
    if count < 2:
        return Estimate(mean, math.inf, count)
    quantile = float(stats.t.ppf(0.975, count - 1))
    return Estimate(mean, quantile * statistics.stdev(values) / math.sqrt(count), count)


def paired(values: Accuracies, base: Accuracies) -> Estimate | None:
    """The mean of `values` minus `base` over the seeds of both; None where they share none."""
    shared = sorted(values.keys() & base.keys())
    return estimate([values[seed] - base[seed] for seed in shared]) if shared else None


def with_test_noise(
    found: Estimate, pairs: Iterable[tuple[str, str, int]], correct: Correct
) -> Estimate:
    """`found`, its interval widened by how much the difference may change with other test images.

    The spread over repetitions shows that only in part, because they often share their test images.

    Args:
        found: a mean difference.
        pairs: method, base and seed of each difference that it is the mean of.
        correct: of those methods; nothing is widened where it is empty.
    """
    if not correct:
        return found
    differences = [
        correct[method, seed].astype(float) - correct[base, seed] for method, base, seed in pairs
    ]
    by_image = np.mean(differences, axis=0)
    standard_error = 100 * float(by_image.std()) / math.sqrt(len(by_image))
    return found._replace(half_width=math.hypot(found.half_width, 1.96 * standard_error))


def gain_of_best(
    methods: Mapping[str, Accuracies],
    bases: Mapping[str, Accuracies],
    correct: Correct | None = None,
) -> Gain:
    """The best of `methods` minus the best of `bases`, neither of them chosen in hindsight.

    In each repetition, the two with the best mean over all *other* repetitions are compared. Such
    choices share most of their data, so the interval is widened as in the corrected resampled
    t-test (Nadeau and Bengio, "Inference for the generalization error", 2003), and by
    `with_test_noise` if `correct` is given. All need the same seeds, at least two.
    """
    chosen, accuracies = _best_on_others(methods)
    chosen_bases, base_accuracies = _best_on_others(bases)
    points = estimate((accuracies - base_accuracies).tolist())
    count = len(chosen)
    widening = math.sqrt(1 + count / (count - 1))
    points = points._replace(half_width=widening * points.half_width)
    seeds = sorted(next(iter(methods.values())))
    pairs = zip(chosen, chosen_bases, seeds, strict=True)
    points = with_test_noise(points, pairs, correct or {})
    return Gain(statistics.mode(chosen), statistics.mode(chosen_bases), points)


def _best_on_others(methods: Mapping[str, Accuracies]) -> tuple[list[str], NDArray[np.float64]]:
    """For each seed, the method with the best mean over the other seeds, and its accuracy there."""
    names = list(methods)
    values = np.array([[row[seed] for seed in sorted(row)] for row in methods.values()])
    sum_of_others = values.sum(1, keepdims=True) - values
    best = sum_of_others.argmax(0)
    return [names[index] for index in best], values[best, np.arange(len(best))]
