"""Counts, means and covariances of private vectors, per class, with noise for differential privacy.

Adjacency: one labelled vector is added or removed. It touches one class, so the releases of the
classes compose in parallel, and none of them costs the others anything. The count of a class is as
private as its vectors.

Everything that depends on the vectors leaves this file through `with_noise`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .accounting import Numbers, with_noise

COUNT_WEIGHT = 0.3  # of a count beside a sum of unit vectors
FEWEST = 50.0  # images of a class, at least, whatever its noisy count
FLOOR = 0.3  # least eigenvalue of a covariance, over the spectral radius of its noise
GRID = 2.0**16  # steps in a unit, so that sums of up to two million products are exact


class Clipping(NamedTuple):
    """The largest norms.

    Attributes:
        vector: of a vector.
        difference: of its difference from the noisy mean of its class.
        squares: of the squares of that difference along common axes; 0 where there are none.
    """

    vector: float
    difference: float
    squares: float = 0.0


class Gaussians(NamedTuple):
    """One Gaussian for each of G groups in D dimensions."""

    counts: Numbers  # [G], at least 1
    means: Numbers  # [G, D]
    covariances: Numbers  # [G, D, D], positive definite


class Moments(NamedTuple):
    """The released statistics of G classes in D dimensions."""

    counts: Numbers  # [G], at least 1
    means: Numbers  # [G, D]
    second: Numbers  # [G, D, D], mean outer product of the differences from `means`
    noise: Numbers  # [G], standard deviation of the noise on the diagonal of `second`


def release(
    vectors: Numbers,
    labels: NDArray[np.int64],
    classes: int,
    clipping: Clipping,
    *,
    of_means: float,
    of_second: float,
) -> Moments:
    """Release the moments of each class.

    Args:
        vectors: [N, D].
        labels: [N], 0 to `classes` - 1.
        classes: how many classes there are, whether or not they have vectors: the list is public.
        clipping: norms that do not depend on the vectors.
        of_means, of_second: standard deviation of noise per unit of L2 sensitivity, for counts and
            sums, and for the second moments.
    """
    counts, means = release_means(vectors, labels, classes, clipping.vector, of_means)
    units = clipped(vectors - means[labels], clipping.difference)
    products = np.stack(
        [sum_of_products(units[labels == label], of_second) for label in range(classes)]
    )
    scale = clipping.difference**2 / np.maximum(counts, FEWEST)
    return Moments(counts, means, scale[:, None, None] * products, scale * of_second)


def release_means(
    vectors: Numbers, labels: NDArray[np.int64], groups: int, norm: float, multiplier: float
) -> tuple[Numbers, Numbers]:
    """The noisy number of vectors of each group, [G], at least 1, and their noisy means, [G, D]."""
    units = clipped(vectors, norm)
    counts = []
    means = []
    for group in range(groups):
        count, total = count_and_sum(units[labels == group], multiplier)
        mean = clipped((norm * total / np.maximum(count, FEWEST))[None], norm)[0]
        counts.append(np.maximum(count, 1.0))
        means.append(norm * mean)
    return np.stack(counts), np.stack(means)


def clipped(vectors: Numbers, norm: float, order: int = 2) -> Numbers:
    """Vectors [N, D] over `norm`, shortened to at most length 1, and rounded towards 0 to a grid.

    Their length is the norm of this order: the `order`-th root of the sum of powers.

    On the grid their sums and products are exact in float64. Otherwise the order of the additions
    would change sums by more than one vector may (Casacuberta et al., "Widespread underestimation
    of sensitivity in differentially private libraries", 2022).
    """
    units = vectors / norm
    length = np.linalg.norm(units, order, axis=1, keepdims=True)
    inside = units / np.maximum(1, length * (1 + 1e-12))
    return np.trunc(inside * GRID) / GRID


def count_and_sum(units: Numbers, multiplier: float) -> tuple[Numbers, Numbers]:
    """The noisy number of vectors and their noisy sum [D], of vectors [N, D] of at most length 1.

    One vector changes the pair (w count, sum) by at most sqrt(w^2 + 1).
    """
    std = multiplier * math.hypot(COUNT_WEIGHT, 1)
    count = with_noise(np.array(float(len(units))), std / COUNT_WEIGHT)
    return count, with_noise(units.sum(0), std)


def sum_of_products(units: Numbers, multiplier: float) -> Numbers:
    """The noisy sum of outer products [D, D], of vectors [N, D] of at most length 1.

    The upper triangle with a factor sqrt 2 off the diagonal has the norm |r|^2 for one vector r, so
    one vector changes it by at most 1. Off the diagonal that factor divides the noise instead.
    """
    products = units.T @ units
    upper = np.triu_indices(len(products), 1)
    noisy = np.zeros_like(products)
    noisy[upper] = with_noise(products[upper], multiplier / math.sqrt(2))
    noisy += noisy.T
    noisy[np.diag_indices_from(noisy)] = with_noise(products.diagonal(), multiplier)
    return noisy


def sum_of_squares(units: Numbers, multiplier: float) -> Numbers:
    """The noisy sum of squares [D], of vectors [N, D] whose fourth powers add up to at most 1.

    The squares of one vector are a vector of at most length 1.
    """
    return with_noise(np.square(units).sum(0), multiplier)


def covariances(moments: Moments) -> Numbers:
    """Covariances [G, D, D] of the released moments, positive definite; this costs no privacy.

    Each is shrunk towards that of all classes, and that towards a multiple of the identity, by the
    share of its squared distance that the noise explains (as Ledoit and Wolf, "A well-conditioned
    estimator for large-dimensional covariance matrices", 2004). What noise is left lifts the least
    eigenvalue.
    """
    weights = moments.counts / moments.counts.sum()
    dim = moments.means.shape[1]
    variance = moments.noise**2
    pooled = np.tensordot(weights, moments.second, 1)
    pooled_variance = float(weights**2 @ variance)
    isotropic = np.eye(dim) * np.trace(pooled) / dim
    to_isotropic = _share_of_noise(pooled - isotropic, pooled_variance)
    pooled = pooled + to_isotropic * (isotropic - pooled)
    found = []
    for weight, second, noise in zip(weights, moments.second, variance, strict=True):
        to_pooled = _share_of_noise(second - pooled, noise * (1 - weight))
        shrunk = second + to_pooled * (pooled - second)
        own = (1 - to_pooled) ** 2 * noise
        common = (to_pooled * (1 - to_isotropic)) ** 2 * pooled_variance
        radius = noise_radius(dim, math.sqrt(own + common))
        found.append(_with_floor(shrunk, max(FLOOR * radius, 1e-6)))
    return np.stack(found)


def noise_radius(dim: int, std: float) -> float:
    """The spectral radius of a symmetric matrix of noise: Wigner's semicircle.

    `std` is that of the diagonal; off it, the variance is half as large.
    """
    return 2 * math.sqrt(dim / 2) * std


def _share_of_noise(difference: Numbers, variance: float) -> float:
    """The share of the squared norm of a symmetric matrix that noise of this variance explains.

    `variance` is that of the diagonal; off it, it is half as large.
    """
    dim = len(difference)
    explained = variance * (dim + dim * (dim - 1) / 2)
    return min(1.0, explained / max(float(np.square(difference).sum()), 1e-300))


def _with_floor(matrix: Numbers, floor: float) -> Numbers:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, floor)) @ vectors.T
