"""Private k-means: what it finds, and what it takes of the budget."""

import itertools
import math

import numpy as np
import pytest

from vae_augment.privacy import clusters, moments
from vae_augment.privacy.clusters import ROUNDS, private_clusters
from vae_augment.privacy.moments import Clipping
from vae_augment.privacy.private_fit import MOST_CLUSTERS, _cluster_count, _released

CLIPPING = Clipping(vector=6.0, difference=3.0)


def groups(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [4 count, 5] around four corners of a square, and the corner of each."""
    corners = np.array(list(itertools.product((-2.0, 2.0), repeat=2)))
    which = np.repeat(np.arange(4), count)
    vectors = 0.3 * np.random.default_rng(seed).normal(size=(4 * count, 5))
    vectors[:, :2] += corners[which]
    return vectors, which


def test_groups_are_found_in_each_class() -> None:
    vectors, which = groups(500)
    labels = np.arange(len(vectors)) % 2
    found = private_clusters(vectors, labels, 2, 4, norm=6.0, multiplier=0.1)
    for label in range(2):
        pairs = set(zip(which[labels == label], found[labels == label], strict=True))
        assert len(pairs) == 4


def test_a_class_without_vectors_and_one_of_few_are_no_trouble() -> None:
    vectors, _ = groups(2)
    found = private_clusters(vectors, np.zeros(8, int), 3, 8, norm=6.0, multiplier=5.0)
    assert found.shape == (8,)
    assert set(found) <= set(range(8))


def test_where_a_vector_belongs_hangs_on_the_centres_and_on_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same noisy centres, another vector more changes no cluster but its own."""
    vectors, _ = groups(100)
    centres = np.random.default_rng(1).normal(size=(4, 5))
    monkeypatch.setattr(clusters, "_mean", lambda *_, otherwise, **__: otherwise)
    monkeypatch.setattr(clusters, "_corners", lambda *_: centres)
    labels = np.zeros(len(vectors), int)
    with_all = private_clusters(vectors, labels, 1, 4, 6.0, 1.0)
    without_one = private_clusters(vectors[1:], labels[1:], 1, 4, 6.0, 1.0)
    assert np.array_equal(with_all[1:], without_one)


def test_the_releases_that_see_a_vector_take_the_whole_budget_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gaussian releases compose: the sum of 1 / multiplier^2 is that of one release of them all."""
    marked = 9.0
    taken: list[float] = []

    def recorded(release):
        def wrapper(units, multiplier):
            if len(units) and units[:, -1].max() > 0.5:
                taken.append(multiplier)
            return release(units, multiplier)

        return wrapper

    monkeypatch.setattr(clusters, "count_and_sum", recorded(moments.count_and_sum))
    monkeypatch.setattr(moments, "sum_of_products", recorded(moments.sum_of_products))
    monkeypatch.setattr(moments, "count_and_sum", recorded(moments.count_and_sum))
    vectors, _ = groups(200)
    vectors[0] = 0
    vectors[0, -1] = marked
    _released(vectors, np.zeros(len(vectors), int), 1, 4, CLIPPING, multiplier=0.8)
    assert len(taken) == 1 + ROUNDS + 2
    assert math.fsum(1 / each**2 for each in taken) == pytest.approx(1 / 0.8**2)


def test_little_noise_allows_more_clusters() -> None:
    counts = [_cluster_count(60_000, 10, 27, multiplier) for multiplier in (0.5, 4.0, 16.0)]
    assert counts == [MOST_CLUSTERS, 4, 1]
    # Only the order of magnitude of the number of images counts.
    assert _cluster_count(99_999, 10, 27, 4.0) == counts[1]
    assert _cluster_count(900, 10, 27, 0.5) == 1
