"""The released moments: their sensitivity by neighbouring data sets, and an attack on them."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.privacy.attack import DELTA, lower_bound
from vae_augment.privacy import moments
from vae_augment.privacy.accounting import noise_multiplier, share_of
from vae_augment.privacy.moments import (
    COUNT_WEIGHT,
    GRID,
    Clipping,
    Moments,
    clipped,
    count_and_sum,
    covariances,
    release,
    sum_of_products,
    sum_of_squares,
)
from vae_augment.privacy.plan import SHARES_OF_OWN

CLAIMED = 2.0
CLIPPING = Clipping(vector=2.0, difference=1.5)
Noise = Callable[[np.ndarray, float], np.ndarray]


def without_noise(values: np.ndarray, std: float) -> np.ndarray:
    return np.asarray(values, np.float64)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "with_noise", without_noise)


def rows(count: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim))


def test_clipped_vectors_have_at_most_length_one() -> None:
    wild = rows(500) * np.logspace(-3, 6, 500)[:, None]
    units = clipped(wild, 2.0)
    squares = (np.rint(units * GRID).astype(int) ** 2).sum(1)  # exact
    assert squares.max() <= int(GRID) ** 2
    inside = np.linalg.norm(wild, axis=1) < 1.9
    np.testing.assert_allclose(units[inside], wild[inside] / 2, atol=2 / GRID)


@pytest.mark.usefixtures("silent")
def test_one_vector_changes_count_and_sum_by_no_more_than_is_accounted_for() -> None:
    many = clipped(rows(3000) * 5, 2.0)
    for index in range(0, 3000, 300):
        neighbour = np.delete(many, index, 0)
        (count, total), (count_2, total_2) = (count_and_sum(each, 1) for each in (many, neighbour))
        change = math.hypot(COUNT_WEIGHT * (count - count_2), np.linalg.norm(total - total_2))
        assert change <= math.hypot(COUNT_WEIGHT, 1)


@pytest.mark.usefixtures("silent")
def test_one_vector_changes_the_products_by_no_more_than_is_accounted_for() -> None:
    many = clipped(rows(3000) * 5, 2.0)
    dim = many.shape[1]
    weight = np.triu(np.full((dim, dim), 2.0), 1) + np.eye(dim)  # sqrt 2 off the diagonal, squared
    for index in range(0, 3000, 300):
        difference = sum_of_products(many, 1) - sum_of_products(np.delete(many, index, 0), 1)
        assert math.sqrt((weight * difference**2).sum()) <= 1


@pytest.mark.usefixtures("silent")
def test_one_vector_changes_the_squares_by_no_more_than_is_accounted_for() -> None:
    many = clipped(rows(3000) * 5, 2.0, order=4)
    assert (many**4).sum(1).max() <= 1
    for index in range(0, 3000, 300):
        difference = sum_of_squares(many, 1) - sum_of_squares(np.delete(many, index, 0), 1)
        assert np.linalg.norm(difference) <= 1


@pytest.mark.usefixtures("silent")
def test_the_order_of_the_vectors_changes_nothing_not_even_the_last_bit() -> None:
    many = clipped(rows(5000), 2.0)
    shuffled = np.random.default_rng(1).permutation(many)
    for measure in (
        lambda each: count_and_sum(each, 1)[1],
        lambda each: sum_of_products(each, 1),
        lambda each: sum_of_squares(each, 1),
    ):
        assert np.array_equal(measure(many), measure(shuffled))


def test_the_noise_has_the_size_that_is_accounted_for() -> None:
    nothing = np.zeros((0, 40))
    total = count_and_sum(nothing, 2.0)[1]
    counts = np.array([count_and_sum(nothing, 2.0)[0] for _ in range(300)])
    products = sum_of_products(nothing, 2.0)
    whole = 2.0 * math.hypot(COUNT_WEIGHT, 1)
    assert counts.std() == pytest.approx(whole / COUNT_WEIGHT, rel=0.2)
    assert total.std() == pytest.approx(whole, rel=0.4)
    assert products.diagonal().std() == pytest.approx(2.0, rel=0.4)
    upper = products[np.triu_indices(40, 1)]
    assert upper.std() == pytest.approx(2.0 / math.sqrt(2), rel=0.15)
    assert np.array_equal(products, products.T)
    assert sum_of_squares(nothing, 2.0).std() == pytest.approx(2.0, rel=0.4)


def test_without_privacy_the_moments_are_those_of_the_vectors() -> None:
    vectors = 0.1 * rows(4000) + 0.2
    labels = np.arange(4000) % 2
    found = release(vectors, labels, 2, Clipping(10.0, 10.0), of_means=1e-9, of_second=1e-9)
    np.testing.assert_allclose(found.counts, [2000, 2000], atol=1e-3)
    np.testing.assert_allclose(found.means[0], vectors[::2].mean(0), atol=1e-3)
    expected = np.cov(vectors[::2].T)
    np.testing.assert_allclose(covariances(found)[0], expected, atol=2e-3)


def test_a_class_without_images_gets_moments_too() -> None:
    found = release(rows(500), np.zeros(500, int), 2, CLIPPING, of_means=1.0, of_second=1.0)
    assert np.isfinite(covariances(found)).all()
    assert found.counts[1] >= 1


def test_covariances_are_positive_definite_under_much_noise() -> None:
    found = release(rows(200), np.zeros(200, int), 1, CLIPPING, of_means=100.0, of_second=100.0)
    assert np.linalg.eigvalsh(covariances(found)[0]).min() > 0


def test_noise_that_drowns_a_class_leaves_what_all_classes_share() -> None:
    second = np.stack([np.diag([4.0, 1.0, 1.0]), np.diag([1.0, 1.0, 4.0])])
    counts = np.array([1e6, 60.0])
    noise = np.array([1e-6, 100.0])
    found = covariances(Moments(counts, np.zeros((2, 3)), second, noise))
    np.testing.assert_allclose(found[0], second[0], atol=1e-3)
    assert found[1][0, 0] > found[1][2, 2]


def canary_statistics(epsilon: float, runs: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """What an attacker sees of a canary along one axis, in releases with it and without it.

    The attacker knows all other vectors, and adds up what the canary would change: the count, the
    sum and the products, each over its noise.
    """
    multiplier = noise_multiplier(epsilon, DELTA)
    noise = {
        "of_means": share_of(multiplier, SHARES_OF_OWN["means"]),
        "of_second": share_of(multiplier, SHARES_OF_OWN["second"]),
    }
    others = 0.05 * rows(30, dim=2)
    canary = np.array([[50.0, 0]])  # far outside the clipping
    statistics = []
    for vectors in (np.concatenate([others, canary]), others):
        seen = [
            release(vectors, np.zeros(len(vectors), int), 1, CLIPPING, **noise) for _ in range(runs)
        ]
        statistics.append(np.array([_evidence(each) for each in seen]))
    return statistics[0], statistics[1]


def _evidence(found: Moments) -> float:
    mean = found.counts[0] * found.means[0, 0] / CLIPPING.vector
    second = found.counts[0] * found.second[0, 0, 0] / CLIPPING.difference**2
    return float(math.sqrt(SHARES_OF_OWN["means"]) * mean + second)


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "FEWEST", 1.0)  # so that a count of 30 is seen as it is


@pytest.mark.usefixtures("few_images")
def test_an_attack_stays_below_the_claimed_epsilon() -> None:
    assert lower_bound(*canary_statistics(CLAIMED)) < CLAIMED


@pytest.mark.usefixtures("few_images")
def test_the_attack_finds_missing_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def a_tenth(values: np.ndarray, std: float) -> np.ndarray:
        return values + np.random.default_rng().normal(0, std / 10, np.shape(values))

    monkeypatch.setattr(moments, "with_noise", a_tenth)
    assert lower_bound(*canary_statistics(CLAIMED)) > CLAIMED


@pytest.mark.usefixtures("few_images")
def test_the_attack_finds_missing_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "clipped", lambda vectors, norm: vectors / norm)
    assert lower_bound(*canary_statistics(CLAIMED)) > CLAIMED
