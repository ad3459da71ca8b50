"""How a private fit spends its budget: never more than it has, whatever the plan."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vae_augment.privacy import clusters, common_axes, moments, private_fit
from vae_augment.privacy.clusters import ROUNDS
from vae_augment.privacy.plan import MOST_CLUSTERS, plan
from vae_augment.privacy.private_fit import _released

RELEASES = ("count_and_sum", "sum_of_products", "sum_of_squares")
OWN = 27  # axes, so few that each cluster has a covariance of its own
COMMON = 60  # axes, so many that the clusters share theirs


@pytest.mark.parametrize(
    ("axes", "multiplier", "count"),
    [
        (OWN, 16.0, 2),
        (OWN, 0.5, 1 + ROUNDS + 2),
        (COMMON, 16.0, 4),
        (COMMON, 0.5, 1 + 1 + ROUNDS + 3),
    ],
)
def test_the_releases_that_see_a_vector_take_the_whole_budget_and_no_more(
    monkeypatch: pytest.MonkeyPatch, axes: int, multiplier: float, count: int
) -> None:
    """Gaussian releases compose: the sum of 1 / multiplier^2 is that of one release of them all."""
    taken: list[float] = []

    def recorded(release: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(units: np.ndarray, std: float) -> Any:
            if len(units) == 4000:
                taken.append(std)
            return release(units, std)

        return wrapper

    for module in (clusters, common_axes, moments, private_fit):
        for name in RELEASES:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, recorded(getattr(module, name)))
    # All vectors are equal, so a release that sees one sees all, and the others none.
    vectors = np.ones((4000, axes))
    planned = plan(10_000, 10, axes, multiplier)
    assert planned.clusters == (1 if multiplier > 1 else MOST_CLUSTERS)
    _released(vectors, np.zeros(4000, int), 1, planned, multiplier)
    assert len(taken) == count
    assert math.fsum(1 / each**2 for each in taken) == pytest.approx(1 / multiplier**2)


def test_little_noise_allows_more_clusters() -> None:
    for axes in (OWN, 150):
        counts = [plan(60_000, 10, axes, multiplier).clusters for multiplier in (0.5, 4.0, 16.0)]
        assert counts == [MOST_CLUSTERS, 4, 1]
        # Only the order of magnitude of the number of images counts.
        assert plan(99_999, 10, axes, 4.0).clusters == counts[1]
        assert plan(900, 10, axes, 0.5).clusters == 1
