"""Nearest neighbours of images in a space of features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

Features = NDArray[np.float32]


class Nearest(NamedTuple):
    """For each query the distance [Q] to the nearest row, and the row's number [Q]."""

    distances: NDArray[np.float64]
    rows: NDArray[np.int64]


def nearest(rows: Features, queries: Features) -> Nearest:
    """The nearest of `rows` [N, F] to each of `queries` [Q, F], by Euclidean distance."""
    return _nearest(rows, queries, rank=0)


def nearest_other(rows: Features, chosen: NDArray[np.int64]) -> Nearest:
    """The nearest other row to each of the rows of the numbers `chosen`; two rows at least."""
    return _nearest(rows, rows[chosen], rank=1)


def _nearest(rows: Features, queries: Features, rank: int) -> Nearest:
    search = NearestNeighbors(n_neighbors=rank + 1, algorithm="brute").fit(rows)
    distances, numbers = search.kneighbors(queries)
    return Nearest(distances[:, rank].astype(np.float64), numbers[:, rank])
