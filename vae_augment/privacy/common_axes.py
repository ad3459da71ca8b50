"""Gaussians whose covariances have common axes, with noise for differential privacy.

A covariance for each group has D^2 / 2 numbers, which noise drowns where D is large. Here noise
falls once on the covariance within all groups, and in each group only on the D variances along its
axes (Flury, "Common principal components in k groups", 1984).

Adjacency is that of `moments`, whose functions release everything.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .accounting import Numbers
from .moments import (
    FEWEST,
    Clipping,
    Gaussians,
    clipped,
    release_means,
    sum_of_products,
    sum_of_squares,
)

LEAST_EIGENVALUE = 0.1  # of the common covariance, over their mean
LEAST_RATIO = 0.05  # of the variance of a group along an axis to that of all groups


def release_with_common_axes(
    vectors: Numbers,
    labels: NDArray[np.int64],
    groups: int,
    clipping: Clipping,
    *,
    of_means: float,
    of_common: float,
    of_variances: float,
) -> Gaussians:
    """Release one Gaussian for each group of vectors.

    Args:
        vectors: [N, D].
        labels: [N], 0 to `groups` - 1.
        groups: how many groups there are, whether or not they have vectors.
        clipping: norms that do not depend on the vectors.
        of_means, of_common, of_variances: standard deviation of noise per unit of L2 sensitivity,
            for the three releases that see a vector.
    """
    counts, means = release_means(vectors, labels, groups, clipping.vector, of_means)
    differences = vectors - means[labels]
    values, axes = _common_axes(differences, counts.sum(), clipping.difference, of_common)
    along = differences @ axes / np.sqrt(values)
    divisor = np.maximum(counts, FEWEST)
    variances = np.stack(
        [
            _squares(along[labels == group], clipping.squares, of_variances)
            for group in range(groups)
        ]
    )
    noise = clipping.squares * of_variances / divisor
    ratios = _shrunk(variances / divisor[:, None], noise, counts / counts.sum())
    covariances = np.stack([(axes * values * ratio) @ axes.T for ratio in ratios])
    return Gaussians(counts, means, covariances)


def _common_axes(
    differences: Numbers, count: float, norm: float, multiplier: float
) -> tuple[Numbers, Numbers]:
    """Eigenvalues [D] and eigenvectors [D, D], in columns, of the covariance within the groups."""
    scale = norm**2 / max(count, FEWEST)
    noisy = scale * sum_of_products(clipped(differences, norm), multiplier)
    values, axes = np.linalg.eigh(noisy)
    return without_noise(values, scale * multiplier), axes


def without_noise(values: Numbers, std: float) -> Numbers:
    """Eigenvalues [D] of a covariance, of a symmetric matrix of it and of noise.

    An eigenvalue at a distance x above s from the others is seen at x + s^2 / x, with a vector
    whose squared cosine to the true one is 1 - s^2 / x^2; nearer ones drown (Benaych-Georges and
    Nadakuditi, "The eigenvalues and eigenvectors of finite, low rank perturbations of large random
    matrices", 2011, section 3.1). The best value for the seen vector is x times that cosine.

    Args:
        values: those of the noisy matrix.
        std: of the noise on the diagonal; off it, the variance is half as large.
    """
    middle = max(float(values.mean()), 1e-6)
    edge = std * math.sqrt(len(values) / 2)
    seen = values - middle
    above = np.maximum(np.abs(seen), 2 * edge)
    true = (above + np.sqrt((above - 2 * edge) * (above + 2 * edge))) / 2
    cosine = 1 - (edge / np.maximum(true, 1e-12)) ** 2
    cleaned: Numbers = middle + np.sign(seen) * true * np.maximum(cosine, 0)
    return np.maximum(cleaned, LEAST_EIGENVALUE * middle)


def _squares(vectors: Numbers, norm: float, multiplier: float) -> Numbers:
    """The noisy sum of the squares [D] of vectors [N, D], whose squares have at most this norm."""
    units = clipped(vectors, math.sqrt(norm), order=4)
    return norm * sum_of_squares(units, multiplier)


def _shrunk(variances: Numbers, noise: Numbers, weights: Numbers) -> Numbers:
    """Variances [G, D], each towards the mean of its axis by the share of noise in its spread.

    Args:
        variances: over that of all groups.
        noise: standard deviation of the noise on those of each group, [G].
        weights: of the groups, [G].
    """
    mean = weights @ variances
    noise_variance = noise[:, None] ** 2
    spread = np.maximum(weights @ ((variances - mean) ** 2 - noise_variance), 1e-9)
    kept = spread / (spread + noise_variance)
    return np.maximum(mean + kept * (variances - mean), LEAST_RATIO)
