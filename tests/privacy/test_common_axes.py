"""Gaussians with common axes: what they are without noise, and what noise leaves of them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tests.privacy.attack import DELTA, lower_bound
from vae_augment.privacy import common_axes, moments
from vae_augment.privacy.accounting import noise_multiplier, share_of
from vae_augment.privacy.common_axes import release_with_common_axes, without_noise
from vae_augment.privacy.moments import Clipping
from vae_augment.privacy.plan import SHARES_OF_COMMON

CLAIMED = 2.0
OTHERS = 30
RELEASES = 15  # their noise has no seed, and drowns what all groups share in one of 400
SEEN: list[float] = []
Release = Callable[[np.ndarray, float], np.ndarray]
NARROW = Clipping(vector=2.0, difference=1.5, squares=3.0)
WIDE = Clipping(vector=100.0, difference=100.0, squares=10_000.0)
VARIANCES = np.array([[9.0, 1.0, 1.0, 0.5], [1.0, 4.0, 1.0, 0.5]])


def two_groups(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors [2 count, 4] of two groups, their groups, and the axes [4, 4] of both."""
    generator = np.random.default_rng(0)
    axes = stats.ortho_group.rvs(4, random_state=1)
    labels = np.repeat([0, 1], count)
    along = generator.normal(size=(2 * count, 4)) * np.sqrt(VARIANCES[labels])
    return along @ axes.T + labels[:, None], labels, axes


def released(noise: float, clipping: Clipping = WIDE, count: int = 20_000) -> moments.Gaussians:
    vectors, labels, _ = two_groups(count)
    return release_with_common_axes(
        vectors, labels, 2, clipping, of_means=noise, of_common=noise, of_variances=noise
    )


def test_without_privacy_they_are_the_means_and_covariances_of_the_groups() -> None:
    _, _, axes = two_groups(20_000)
    found = released(1e-6)
    np.testing.assert_allclose(found.counts, [20_000, 20_000], atol=1e-2)
    np.testing.assert_allclose(found.means, [[0] * 4, [1] * 4], atol=0.08)
    for covariance, variances in zip(found.covariances, VARIANCES, strict=True):
        np.testing.assert_allclose(covariance, (axes * variances) @ axes.T, atol=0.25)


def test_noise_that_drowns_a_group_leaves_what_all_groups_share() -> None:
    vectors, labels, axes = two_groups(20_000)
    few = np.flatnonzero(labels == 1)[60:]
    vectors, labels = np.delete(vectors, few, 0), np.delete(labels, few)
    narrow = Clipping(vector=8.0, difference=8.0, squares=60.0)
    variances = []
    for _ in range(RELEASES):
        found = release_with_common_axes(
            vectors, labels, 2, narrow, of_means=20.0, of_common=20.0, of_variances=20.0
        )
        variances.append(np.diag(axes.T @ found.covariances[1] @ axes))
    along = np.median(variances, axis=0)
    assert along[0] > along[1]  # as in the large group


def test_covariances_are_positive_definite_under_much_noise() -> None:
    found = released(1e4, Clipping(2.0, 2.0, 4.0), count=100)
    assert np.linalg.eigvalsh(found.covariances).min() > 0
    assert np.isfinite(found.means).all()


def test_eigenvalues_lose_what_noise_added() -> None:
    generator = np.random.default_rng(0)
    dim, std = 200, 0.1
    noise = np.triu(generator.normal(size=(dim, dim)) * std / math.sqrt(2), 1)
    noise = noise + noise.T + np.diag(generator.normal(size=dim) * std)
    axis = np.full(dim, 1 / math.sqrt(dim))
    true = np.eye(dim) + 5 * np.outer(axis, axis)
    values, vectors = np.linalg.eigh(true + noise)
    cleaned = without_noise(values, std)
    middle = np.median(cleaned)
    np.testing.assert_allclose(cleaned[:-1], middle, rtol=1e-6)  # all but the largest drowned
    # The best multiple of the seen axis is what the true matrix has along it.
    along = (vectors[:, -1] @ axis) ** 2 * 5
    assert cleaned[-1] - middle == pytest.approx(along, rel=0.05)


def canary_statistics(epsilon: float, runs: int = 600) -> list[np.ndarray]:
    """What an attacker sees of a canary along one axis, in releases with it and without it.

    The attacker knows all other vectors, sees whatever leaves the mechanism, before it is used, and
    takes away from it what the others are in it.
    """
    noise = {
        f"of_{name}": share_of(noise_multiplier(epsilon, DELTA), SHARES_OF_COMMON[name])
        for name in ("means", "common", "variances")
    }
    others = 0.05 * np.random.default_rng(0).normal(size=(OTHERS, 2))
    statistics = []
    for vectors in (np.concatenate([others, [[50.0, 0]]]), others):
        labels = np.zeros(len(vectors), int)
        found = []
        for _ in range(runs):
            SEEN.clear()
            release_with_common_axes(vectors, labels, 1, NARROW, **noise)
            found.append(sum(SEEN))
        statistics.append(np.array(found))
    return statistics


@pytest.fixture
def overheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep in `SEEN` what each release shows of the canary, over its noise."""

    def shown(release: Release, exact: Callable[[np.ndarray], np.ndarray]) -> Release:
        def wrapper(units: np.ndarray, multiplier: float) -> np.ndarray:
            noisy = release(units, multiplier)
            SEEN.append(float((noisy - exact(units[:OTHERS])).max()) / multiplier**2)
            return noisy

        return wrapper

    products = shown(common_axes.sum_of_products, lambda units: units.T @ units)
    squares = shown(common_axes.sum_of_squares, lambda units: np.square(units).sum(0))
    monkeypatch.setattr(common_axes, "sum_of_products", products)
    monkeypatch.setattr(common_axes, "sum_of_squares", squares)
    monkeypatch.setattr(moments, "FEWEST", 1.0)  # so that a count of 30 is seen as it is
    monkeypatch.setattr(common_axes, "FEWEST", 1.0)


@pytest.mark.usefixtures("overheard")
def test_an_attack_stays_below_the_claimed_epsilon() -> None:
    assert lower_bound(*canary_statistics(CLAIMED)) < CLAIMED


@pytest.mark.usefixtures("overheard")
@pytest.mark.parametrize("release", ["sum_of_products", "sum_of_squares"])
def test_the_attack_finds_missing_noise(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    right = getattr(common_axes, release)
    monkeypatch.setattr(common_axes, release, lambda units, noise: right(units, noise / 10))
    assert lower_bound(*canary_statistics(CLAIMED)) > CLAIMED


@pytest.mark.usefixtures("overheard")
def test_the_attack_finds_missing_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common_axes, "clipped", lambda vectors, norm, order=2: vectors / norm)
    assert lower_bound(*canary_statistics(CLAIMED)) > CLAIMED
