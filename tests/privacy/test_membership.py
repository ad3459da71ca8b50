"""Membership attacks: on scores whose answer is known, and on points."""

import numpy as np
import pytest
import torch

from vae_augment import VAEModel
from vae_augment.evaluation.likelihood import likelihood
from vae_augment.privacy.membership import (
    calibrated,
    distance_scores,
    image_scores,
    likelihood_bound,
    measure,
)
from vae_augment.training import ImageData
from vae_augment.training.data.image_data import to_float


def normal(count: int, mean: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, count)


def test_scores_of_one_distribution_give_an_interval_around_one_half() -> None:
    attack = measure(normal(1000, 0, 0), normal(1000, 0, 1), np.random.default_rng(0))
    assert attack.auc.low < 0.5 < attack.auc.high
    assert attack.tpr_at_1_percent is not None
    assert attack.tpr_at_1_percent.low < 0.01 < attack.tpr_at_1_percent.high


def test_the_auc_is_the_chance_that_a_member_scores_higher() -> None:
    attack = measure(normal(2000, 1, 0), normal(2000, 0, 1), np.random.default_rng(0))
    assert attack.auc.value == pytest.approx(0.760, abs=0.02)  # Phi(1 / sqrt 2)
    assert attack.auc.low < attack.auc.value < attack.auc.high


def test_the_few_who_are_exposed_show_at_few_false_ones() -> None:
    members = np.concatenate([normal(960, 0, 0), normal(40, 10, 1)])
    attack = measure(members, normal(1000, 0, 2), np.random.default_rng(0))
    assert attack.auc.value < 0.55
    assert attack.tpr_at_01_percent is not None
    assert attack.tpr_at_01_percent.low > 0.025


def test_rates_of_rare_false_ones_need_images() -> None:
    attack = measure(normal(99, 0, 0), normal(99, 0, 1), np.random.default_rng(0))
    assert attack.tpr_at_1_percent is None
    assert attack.tpr_at_01_percent is None


def test_an_interval_for_several_attacks_is_wider() -> None:
    scores = normal(300, 0, 0), normal(300, 0, 1)
    alone = measure(*scores, np.random.default_rng(0)).auc
    of_four = measure(*scores, np.random.default_rng(0), attacks=4).auc
    assert of_four.high - of_four.low > 1.1 * (alone.high - alone.low)


def test_calibration_takes_the_level_and_the_scale_of_each_class_away() -> None:
    groups = np.repeat([0, 1], 500)
    scores = np.concatenate([normal(500, 0, 0), 50 + 9 * normal(500, 0, 1)])
    even = calibrated(scores, groups)
    assert np.median(even[groups == 0]) == pytest.approx(np.median(even[groups == 1]))
    assert even[groups == 1].std() == pytest.approx(even[groups == 0].std(), rel=0.2)


def test_an_image_near_many_samples_scores_higher() -> None:
    samples = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    images = np.concatenate([samples[:50] + 0.01, samples[:50] + 3]).astype(np.float32)
    scores = distance_scores(images, samples)
    assert scores[:50].min() > scores[50:].max()


def test_the_bound_is_that_of_the_likelihood(tiny_model: VAEModel, digits: ImageData) -> None:
    images = to_float(digits.images[:20])
    labels = torch.full((20,), -1)
    bound = likelihood_bound(tiny_model, images, labels)
    exact = likelihood(tiny_model, images, samples=50, binarisation="none")
    # That one sums over the labels and knows the mixtures, so they agree only roughly.
    assert -bound.mean().item() == pytest.approx(exact.negative_bound, rel=0.15)


def test_every_image_gets_its_scores(tiny_model: VAEModel, digits: ImageData) -> None:
    some = digits.subset(torch.arange(700))  # more than one batch
    scores = image_scores(tiny_model, some)
    assert {values.shape for values in scores.values()} == {(700,)}
    anomaly = tiny_model.anomaly_score(some.images).double().numpy()
    np.testing.assert_allclose(scores["anomaly score"], -anomaly, rtol=1e-5)
