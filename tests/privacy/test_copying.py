"""Data copying on points in the plane, where it is known what was copied."""

import numpy as np
import pytest

from vae_augment.privacy.copying import Copying, Neighbourhood, Spread


def points(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def measured(samples: np.ndarray) -> Copying:
    spread = Spread(points(2000, 0), points(1000, 1), samples)
    return Neighbourhood(spread, np.random.default_rng(0)).measures()


def test_new_points_of_the_same_distribution_are_no_copies() -> None:
    found = measured(points(1000, 2))
    assert abs(found.c_t) < 1.5
    assert len(found.z_values) > 5
    assert found.copied.low < 0 < found.copied.high
    assert found.authentic.value == pytest.approx(found.authentic_unseen.value, abs=0.06)


def test_copies_are_found_by_every_measure() -> None:
    found = measured(points(2000, 0)[::2] + 0.01)
    assert found.c_t < -5
    assert found.copied.low > 0.95
    assert found.authentic.value < 0.01


def test_samples_that_are_all_alike_are_no_copies_of_the_one_image_next_to_them() -> None:
    found = measured(points(2000, 0)[:1] + 0.3 + np.float32(0.01) * points(1000, 2))
    assert found.copied.value > 0.95
    assert found.copied.low < 0.2


def test_points_far_from_everything_are_farther_than_unseen_ones() -> None:
    found = measured(points(1000, 2) + 20)
    assert found.c_t > 5
    assert found.authentic.value == 1


def test_half_copies_lie_between() -> None:
    half = np.concatenate([points(2000, 0)[::4] + 0.01, points(500, 2)])
    found = measured(half)
    assert found.authentic.value == pytest.approx(found.authentic_unseen.value / 2, abs=0.06)
    assert found.copied.low < 0.5 < found.copied.high
