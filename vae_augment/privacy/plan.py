"""How a private fit spends its budget, and where it clips.

Nothing here sees a private image; of their number, only the order of magnitude counts. The
constants were chosen in trials on MNIST and Fashion-MNIST.
"""

import math
from typing import NamedTuple

from .accounting import share_of
from .moments import Clipping, noise_radius

# With more axes, noise would drown a covariance of D^2 / 2 numbers for each class.
MOST_AXES_OF_OWN_COVARIANCES = 50
SHARES_OF_OWN = {"means": 0.15, "second": 0.85}
SHARES_OF_COMMON = {"centre": 0.03, "means": 0.27, "common": 0.4, "variances": 0.3}
SHARE_OF_CLUSTERS = 0.1  # of the budget, for finding them, where there are several per class
MOST_CLUSTERS = 16  # per class
IMAGES_PER_CLUSTER = 50  # at least
# On a covariance: the spectral radius of its noise, where the variance of public images is 1.
MOST_NOISE_OF_COVARIANCES = 3.0
MOST_NOISE_OF_VARIANCES = 1.0  # over the variance
# Norms at which coordinates are clipped, over the root of their number; on average over the public
# images the norm is that root.
VECTOR_NORM = 1.4
VECTOR_NORM_OF_COMMON = 1.6
DIFFERENCE_NORM = 0.9  # from the mean of the class
DIFFERENCE_NORM_IN_CLUSTER = 0.7
DIFFERENCE_NORM_OF_COMMON = 1.2
# Of squares along D axes, over the root of 3 D, which is their norm among Gaussians.
SQUARES_NORM = 1.3


class Plan(NamedTuple):
    """What is released, and at what share of the budget.

    Attributes:
        clusters: Gaussians per class.
        own: whether each Gaussian has a covariance of its own; else they have common axes.
        shares: of the budget, by the name of the release; they add up to 1.
        clipping: where vectors are clipped.
    """

    clusters: int
    own: bool
    shares: dict[str, float]
    clipping: Clipping


def plan(images: int, classes: int, axes: int, multiplier: float) -> Plan:
    """As many clusters per class as noise and the number of images allow.

    Args:
        images: how many there are.
        classes: how many classes there are, at least one.
        axes: D, the size of the coordinates.
        multiplier: standard deviation of noise per unit of L2 sensitivity, for the whole budget.
    """
    images_per_class = 10.0 ** math.floor(math.log10(images)) / classes
    own = axes <= MOST_AXES_OF_OWN_COVARIANCES
    noise = _noise_of_own if own else _noise_of_common
    most = min(1 / noise(axes, images_per_class, multiplier), images_per_class / IMAGES_PER_CLUSTER)
    clusters = MOST_CLUSTERS
    while clusters > max(1, most):
        clusters //= 2
    return Plan(clusters, own, _shares(own, clusters), _clipping(axes, own, clusters))


def _noise_of_own(axes: int, images: float, multiplier: float) -> float:
    """The noise of a covariance of so many images, over the most that is allowed."""
    of_second = share_of(multiplier, _shares(True, MOST_CLUSTERS)["second"])
    norm = _clipping(axes, True, MOST_CLUSTERS).difference
    return noise_radius(axes, norm**2 * of_second / images) / MOST_NOISE_OF_COVARIANCES


def _noise_of_common(axes: int, images: float, multiplier: float) -> float:
    """The noise of a variance of so many images, over the most that is allowed."""
    of_variances = share_of(multiplier, _shares(False, MOST_CLUSTERS)["variances"])
    norm = _clipping(axes, False, MOST_CLUSTERS).squares
    return norm * of_variances / images / MOST_NOISE_OF_VARIANCES


def _shares(own: bool, clusters: int) -> dict[str, float]:
    of_clusters = SHARE_OF_CLUSTERS if clusters > 1 else 0.0
    others = SHARES_OF_OWN if own else SHARES_OF_COMMON
    return {"clusters": of_clusters} | {
        name: (1 - of_clusters) * share for name, share in others.items()
    }


def _clipping(axes: int, own: bool, clusters: int) -> Clipping:
    root = math.sqrt(axes)
    if not own:
        squares = SQUARES_NORM * math.sqrt(3 * axes)
        return Clipping(VECTOR_NORM_OF_COMMON * root, DIFFERENCE_NORM_OF_COMMON * root, squares)
    of_difference = DIFFERENCE_NORM if clusters == 1 else DIFFERENCE_NORM_IN_CLUSTER
    return Clipping(VECTOR_NORM * root, of_difference * root)
