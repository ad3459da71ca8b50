"""Intervals: Student's t, pairs, and a choice that is not made in hindsight."""

import math

import numpy as np
import pytest

from vae_augment.evaluation.intervals import Estimate, estimate, gain_of_best, paired


def test_an_interval_is_that_of_students_t() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.half_width == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert str(found) == "+2.00 ± 2.48"


def test_one_repetition_has_no_interval() -> None:
    assert estimate([1.0]).half_width == math.inf
    assert str(estimate([-1.0])) == "-1.00"


def test_differences_are_paired_by_seed() -> None:
    found = paired({0: 10.0, 1: 30.0, 2: 99.0}, {1: 29.0, 0: 9.0, 7: 0.0})
    assert found == Estimate(1.0, 0.0, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_methods_are_chosen_on_other_repetitions_than_they_are_judged_on() -> None:
    bases = {"none": {0: 50.0, 1: 50.0, 2: 50.0, 3: 50.0}}
    methods = {
        "lucky once": {0: 90.0, 1: 40.0, 2: 40.0, 3: 40.0},
        "steady": {0: 51.0, 1: 51.0, 2: 51.0, 3: 51.0},
    }
    found = gain_of_best(methods, bases)
    # Without seed 0 the steady one is best, else the lucky one.
    gains = [51.0 - 50, 40.0 - 50, 40.0 - 50, 40.0 - 50]
    assert found.points.mean == sum(gains) / 4
    widened = estimate(gains).half_width * math.sqrt(1 + 4 / 3)
    assert found.points.half_width == pytest.approx(widened)
    assert (found.method, found.base) == ("lucky once", "none")


def simulated(
    count: int, repetitions: int, generator: np.random.Generator
) -> dict[str, dict[int, float]]:
    """Methods whose accuracies are noise around the same mean."""
    values = 90 + generator.normal(size=(count, repetitions))
    return {f"method {number}": dict(enumerate(row)) for number, row in enumerate(values.tolist())}


@pytest.mark.parametrize(("without", "with_vae"), [(5, 3), (1, 3), (5, 1)])
@pytest.mark.parametrize("repetitions", [3, 5])
def test_noise_is_called_a_difference_as_rarely_as_the_interval_says(
    without: int, with_vae: int, repetitions: int
) -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(600):
        methods = simulated(with_vae, repetitions, generator)
        bases = simulated(without, repetitions, generator)
        points = gain_of_best(methods, bases).points
        wrong += abs(points.mean) > points.half_width
    assert 0.01 <= wrong / 600 <= 0.07


def test_the_interval_is_right_where_repetitions_share_their_test_images() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        # Each test image has its own chance, the same for both methods, and likes one of them.
        chances = 0.8 + 0.2 * generator.random(300)
        liking = generator.normal(0, 0.3, (2, 300))
        correct = {
            (name, seed): generator.random(300) < np.clip(chances + liking[row], 0, 1)
            for row, name in enumerate(("one", "other"))
            for seed in range(10)
        }
        one, other = (
            {name: {seed: 100 * correct[name, seed].mean() for seed in range(10)}}
            for name in ("one", "other")
        )
        points = gain_of_best(one, other, correct).points
        wrong += abs(points.mean) > points.half_width
    assert wrong / 400 <= 0.05


def is_gain(found: Estimate) -> bool:
    return found.mean > found.half_width


def test_a_choice_in_hindsight_would_call_noise_a_gain_more_often() -> None:
    generator = np.random.default_rng(0)
    hindsight = 0
    fair = 0
    for _ in range(600):
        methods = simulated(8, 5, generator)
        bases = simulated(1, 5, generator)
        best = max(methods.values(), key=lambda values: sum(values.values()))
        base = bases["method 0"]
        hindsight += is_gain(estimate([best[seed] - base[seed] for seed in base]))
        fair += is_gain(gain_of_best(methods, bases).points)
    assert fair <= 0.04 * 600
    assert hindsight > 3 * fair
