"""Clusters of private vectors, found by k-means whose centres carry noise.

Adjacency is that of `moments`: one vector touches one class, and in it one cluster at a time. Where
a vector belongs follows from the noisy centres and the vector alone, so the statistics of different
clusters compose in parallel, as those of different classes do.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from .accounting import Numbers, share_of
from .moments import FEWEST, clipped, count_and_sum

ROUNDS = 4  # of k-means, after one release of the means of the classes
SPREAD = 0.7  # of the first centres around the mean of their class, on each of the first axes


def private_clusters(
    vectors: Numbers,
    labels: NDArray[np.int64],
    classes: int,
    clusters: int,
    norm: float,
    multiplier: float,
) -> NDArray[np.int64]:
    """The cluster of each vector, [N], from 0 to `clusters` - 1 in each class.

    Lloyd's algorithm on noisy counts and sums (Blum et al., "Practical privacy: the SuLQ
    framework", 2005, section 5). It is not private by itself: what is released of a cluster is.

    Args:
        vectors: [N, D].
        labels: [N], 0 to `classes` - 1.
        classes: how many classes there are.
        clusters: per class, a power of two up to 2^D.
        norm: at which vectors are clipped.
        multiplier: standard deviation of noise per unit of L2 sensitivity, for the whole of it.
    """
    of_round = share_of(multiplier, 1 / (ROUNDS + 1))
    found = np.zeros(len(vectors), np.int64)
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        found[rows] = _clusters_of_class(vectors[rows], clusters, norm, of_round)
    return found


def _clusters_of_class(
    vectors: Numbers, clusters: int, norm: float, multiplier: float
) -> NDArray[np.int64]:
    everything = _mean(vectors, norm, multiplier, otherwise=np.zeros(vectors.shape[1]))
    centres = everything + _corners(clusters, vectors.shape[1])
    for _ in range(ROUNDS):
        nearest = _nearest(vectors, centres)
        centres = np.stack(
            [
                _mean(vectors[nearest == index], norm, multiplier, otherwise=centre)
                for index, centre in enumerate(centres)
            ]
        )
    return _nearest(vectors, centres)


def _corners(count: int, dim: int) -> Numbers:
    """The corners of a cube on the first axes, [count, D]: those that change images most."""
    axes = count.bit_length() - 1
    corners = np.zeros((count, dim))
    corners[:, :axes] = SPREAD * np.array(list(itertools.product((-1.0, 1.0), repeat=axes)))
    return corners


def _mean(vectors: Numbers, norm: float, multiplier: float, otherwise: Numbers) -> Numbers:
    """The noisy mean [D] of vectors [N, D], or `otherwise` if they are few."""
    count, total = count_and_sum(clipped(vectors, norm), multiplier)
    return norm * total / count if count > FEWEST else otherwise


def _nearest(vectors: Numbers, centres: Numbers) -> NDArray[np.int64]:
    """The index of the nearest centre, [N]."""
    products = vectors @ centres.T
    return (np.square(centres).sum(1) - 2 * products).argmin(1)
