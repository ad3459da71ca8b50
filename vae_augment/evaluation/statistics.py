"""Means over draws, and paired differences between two arms of the same draws."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


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

    Draws differ far more from each other than two arms do on the same draw, so only the difference is telling.
    """
    shared = values.keys() & base.keys()
    return estimate([values[draw] - base[draw] for draw in sorted(shared)]) if shared else None
