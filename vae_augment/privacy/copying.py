"""Data copying: do samples lie nearer to training images than unseen images do?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from ..model.latents import Latents
from .intervals import Interval, of_share
from .neighbours import Features, Nearest, nearest, nearest_other

CELLS = 20
FEWEST = 20  # samples and unseen images of a cell or class, for a z-value of its own
NEAR = 0.1  # of the distance between neighbours, below which a component is an image itself

Distances = NDArray[np.float64]
Rows = NDArray[np.bool_]


class Spread(NamedTuple):
    """Training images, unseen images and samples as rows of features, each [N, F]."""

    train: Features
    test: Features
    samples: Features


class Copying(NamedTuple):
    """How samples lie to the training images.

    Attributes:
        c_t: C_T of Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in
            generative models" (2020); below about -3, samples lie nearer to the training images
            than unseen images do.
        z_values: of the cells of the space that it is the mean of.
        copied: the share of samples that must be copies to explain how many have a training image
            as the nearest of all images; 0 where nothing is copied.
        authentic: share of samples that are no nearer to a training image than that image's own
            nearest neighbour (Alaa et al., "How faithful is your synthetic data?", 2022).
        authentic_unseen: the same of unseen images, for scale.
    """

    c_t: float
    z_values: tuple[float, ...]
    copied: Interval
    authentic: Interval
    authentic_unseen: Interval


class Neighbourhood:
    """The nearest training image of each sample and of each unseen image, in one space of features.

    There must be at least two training images.
    """

    def __init__(self, spread: Spread, generator: np.random.Generator) -> None:
        self.samples = nearest(spread.train, spread.samples)
        self.test = nearest(spread.train, spread.test)
        self.authentic = _authentic(spread.train, self.samples)
        self.authentic_test = _authentic(spread.train, self.test)
        self.copied = _copied(spread, self.samples)
        cells = _cells(spread.train, generator)
        self.sample_cells = cells.predict(spread.samples.astype(np.float64))
        self.test_cells = cells.predict(spread.test.astype(np.float64))

    def measures(self) -> Copying:
        """The measures over all samples."""
        z_values = []
        weights = []
        for cell in np.unique(self.test_cells):
            value = self.z_value(self.sample_cells == cell, self.test_cells == cell)
            if value is not None:
                z_values.append(value)
                weights.append(int(np.count_nonzero(self.test_cells == cell)))
        if not z_values:  # the samples lie where unseen images do not
            z_values = [_z_value(self.samples.distances, self.test.distances)]
            weights = [1]
        return Copying(
            c_t=float(np.average(z_values, weights=weights)),
            z_values=tuple(z_values),
            copied=self.copied,
            authentic=of_share(self.authentic),
            authentic_unseen=of_share(self.authentic_test),
        )

    def z_value(self, samples: Rows, test: Rows) -> float | None:
        """That of some samples and some unseen images; None where there are too few."""
        if min(np.count_nonzero(samples), np.count_nonzero(test)) < FEWEST:
            return None
        return _z_value(self.samples.distances[samples], self.test.distances[test])


def _cells(train: Features, generator: np.random.Generator) -> KMeans:
    count = max(1, min(CELLS, len(train) // FEWEST))
    cells = KMeans(count, n_init=1, max_iter=50, random_state=int(generator.integers(2**31)))
    with threadpool_limits(1):  # several threads add up numbers in an order that changes
        return cells.fit(train.astype(np.float64))


def _z_value(samples: Distances, test: Distances) -> float:
    """The z-value of Mann and Whitney, negative where the samples' distances are smaller."""
    pairs = len(samples) * len(test)
    larger = stats.mannwhitneyu(samples, test).statistic
    deviation = np.sqrt(pairs * (len(samples) + len(test) + 1) / 12)
    return float((larger - pairs / 2) / deviation)


def _copied(spread: Spread, to_train: Nearest) -> Interval:
    """See `Copying.copied`.

    Where nothing is copied, the nearest of n training and m unseen images is a training image with
    the chance n / (n + m); of a copy it always is one. Samples that share their nearest image count
    as one: those of a decoder that gives one blur for all would pass for many copies of an image.
    """
    to_test = nearest(spread.test, spread.samples)
    is_nearer = to_train.distances < to_test.distances
    votes = is_nearer + 0.5 * (to_train.distances == to_test.distances)
    images = np.where(is_nearer, to_train.rows, len(spread.train) + to_test.rows)
    chance = len(spread.train) / (len(spread.train) + len(spread.test))
    return Interval(
        *((end - chance) / (1 - chance) for end in of_share(votes, len(np.unique(images))))
    )


def _authentic(train: Features, found: Nearest) -> Distances:
    """1 where the training image that was found has another one at least as near, else 0."""
    chosen, places = np.unique(found.rows, return_inverse=True)
    own = nearest_other(train, chosen).distances[places]
    return (found.distances >= own).astype(np.float64)


def exposed_components(latents: Latents | None, train: Features) -> int:
    """How many components of the distribution are centred on one training image.

    A component counts where its mean lies nearer to the latent of an image than a tenth of that
    image's distance to its nearest neighbour.

    Args:
        latents: those of the file; None = it has none.
        train: latents of the training images, [N, D].
    """
    if latents is None:
        return 0
    means = latents.means[latents.weights > 0]
    found = nearest(train, means)
    chosen, places = np.unique(found.rows, return_inverse=True)
    own = nearest_other(train, chosen).distances[places]
    return int(np.count_nonzero(found.distances < NEAR * own))
