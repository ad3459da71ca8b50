"""Values with their intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A value with the ends of its interval, of 95 % unless said otherwise."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def of_share(votes: NDArray[np.floating], independent: int | None = None) -> Interval:
    """The mean of votes between 0 and 1, with the interval of a share (Wilson 1927).

    The interval is that of as many `independent` votes; None = all are.
    """
    count = independent or len(votes)
    test = stats.binomtest(round(count * float(votes.mean())), count)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(votes.mean()), float(interval.low), float(interval.high))
