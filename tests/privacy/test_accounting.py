"""The size of the noise against the accountant of others, and where its numbers come from."""

import math
import random
import sys

import dp_accounting
import numpy as np
import opendp.prelude as dp
import pytest
import torch
from dp_accounting.pld import PLDAccountant
from scipy.stats import norm

from vae_augment.errors import InputError, VAEAugmentError
from vae_augment.privacy.accounting import accountant, noise_multiplier, share_of, with_noise
from vae_augment.privacy.plan import SHARES_OF_OWN


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 10.0])
def test_the_noise_solves_the_equation_of_balle_and_wang(epsilon: float) -> None:
    mu = 1 / noise_multiplier(epsilon, 1e-5)
    below = norm.cdf(mu / 2 - epsilon / mu)
    above = math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert below - above == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 10.0])
def test_two_releases_together_cost_the_budget(epsilon: float) -> None:
    multiplier = noise_multiplier(epsilon, 1e-5)
    together = PLDAccountant()
    for share in SHARES_OF_OWN.values():
        together.compose(dp_accounting.GaussianDpEvent(share_of(multiplier, share)))
    assert together.get_epsilon(1e-5) == pytest.approx(epsilon, rel=5e-3)


def test_the_mechanism_of_opendp_has_the_scale_that_we_ask_for() -> None:
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l2_distance(T=float)
    noise = with_noise(np.full((60, 50), 7.0), 3.0)
    mechanism = dp.m.make_gaussian(*space, scale=3.0)
    assert mechanism.map(1.0) == pytest.approx(1 / (2 * 3.0**2))  # rho = 1 / (2 sigma^2)
    assert noise.shape == (60, 50)
    assert noise.mean() == pytest.approx(7, abs=0.25)
    assert noise.std() == pytest.approx(3, rel=0.06)


def test_no_seed_repeats_the_noise() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        drawn.append(with_noise(np.zeros(20), 1.0))
    assert not (drawn[0] == drawn[1]).any()


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-5), (math.inf, 1e-5), (1, 0), (1, 1)])
def test_budgets_that_mean_nothing_are_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(InputError, match="must"):
        noise_multiplier(epsilon, delta)


@pytest.mark.parametrize("package", ["dp_accounting", "opendp.prelude"])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(VAEAugmentError, match=r'pip install "vae-augment\[private\]"'):
        with_noise(np.zeros(1), noise_multiplier(1, 1e-5))


def test_the_accountant_has_its_version() -> None:
    assert "dp-accounting 0" in accountant()
    assert "opendp 0" in accountant()
