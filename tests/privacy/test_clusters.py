"""Private k-means: what it finds, and what it takes of the budget."""

import itertools

import numpy as np
import pytest

from vae_augment.privacy import clusters
from vae_augment.privacy.clusters import private_clusters


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
