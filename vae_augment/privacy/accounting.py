"""Gaussian noise for differential privacy: its size by dp-accounting, its numbers by OpenDP.

Both are the work of others, on purpose: a mistake in either is a leak that no test of ours would
see. The extra [private] installs them.
"""

import math
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, VAEAugmentError

Numbers = NDArray[np.float64]


def noise_multiplier(epsilon: float, delta: float) -> float:
    """The standard deviation of Gaussian noise, per unit of L2 sensitivity, for (epsilon, delta).

    The analytic Gaussian mechanism, which is exact and holds for any epsilon (Balle and Wang,
    "Improving the Gaussian mechanism for differential privacy", 2018, theorem 8).

    Raises:
        InputError: epsilon is not above 0 and finite, or delta is not in (0, 1).
        VAEAugmentError: dp-accounting is not installed.
    """
    if not 0 < epsilon < math.inf:
        raise InputError(f"epsilon is {epsilon}; it must be greater than 0 and finite.")
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}; it must lie between 0 and 1.")
    return float(_dp_accounting().get_sigma_gaussian(epsilon, delta))


def share_of(multiplier: float, share: float) -> float:
    """The multiplier of a release that takes `share` of the whole budget.

    Gaussian releases compose as one whose inverse squared multiplier is the sum of theirs (Dong,
    Roth and Su, "Gaussian differential privacy", 2019, corollary 3.3).
    """
    return multiplier / math.sqrt(share)


def with_noise(values: Numbers, std: float) -> Numbers:
    """`values` of any shape plus independent Gaussian noise of standard deviation `std`.

    The numbers come from the operating system's random source, and cannot be repeated by a seed.
    OpenDP samples them exactly, without the floating-point errors of Mironov, "On significance of
    the least significant bits for differential privacy" (2012).

    Raises:
        VAEAugmentError: OpenDP is not installed.
    """
    dp = _opendp()
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l2_distance(T=float)
    mechanism = dp.m.make_gaussian(*space, scale=std)
    noisy = mechanism(np.asarray(values, np.float64).ravel().tolist())
    return np.asarray(noisy, np.float64).reshape(np.shape(values))


def accountant() -> str:
    """The names and versions of what computes and samples the noise."""
    names = ("dp-accounting", "opendp")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _dp_accounting() -> Any:
    try:
        import dp_accounting
    except ImportError as error:
        raise _missing("dp-accounting", error) from None
    return dp_accounting


def _opendp() -> Any:
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise _missing("opendp", error) from None
    dp.enable_features("contrib")  # of which the Gaussian mechanism is one
    return dp


def _missing(package: str, error: ImportError) -> VAEAugmentError:
    return VAEAugmentError(
        f"A private fit needs {package}, which cannot be imported ({error}). Install it: "
        'pip install "vae-augment[private]".'
    )
