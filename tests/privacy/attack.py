"""How much an attack that looks for a planted vector proves of epsilon."""

import math

import numpy as np
from scipy import stats

DELTA = 1e-5


def lower_bound(with_canary: np.ndarray, without: np.ndarray) -> float:
    """A lower bound on epsilon, at 99 % confidence, from statistics with the canary and without.

    For each threshold, epsilon is at least log((true rate - delta) / false rate); the rates are
    bounded by Clopper and Pearson (Jagielski, Ullman and Oprea, "Auditing differentially private
    machine learning", 2020). Half of the runs choose the threshold, the other half measure.
    """
    half = len(without) // 2
    thresholds = np.quantile(without[:half], np.linspace(0.5, 0.995, 40))
    chosen = max(thresholds, key=lambda each: _bound(with_canary[:half], without[:half], each))
    return _bound(with_canary[half:], without[half:], chosen)


def _bound(with_canary: np.ndarray, without: np.ndarray, threshold: float) -> float:
    found = int((with_canary > threshold).sum())
    false = int((without > threshold).sum())
    least = stats.binomtest(found, len(with_canary)).proportion_ci(0.98).low
    most = stats.binomtest(false, len(without)).proportion_ci(0.98).high
    return math.log(max(least - DELTA, 1e-12) / most)
