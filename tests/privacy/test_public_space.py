"""The coordinates of private latents, from the public base alone."""

import numpy as np
import pytest
import torch

from vae_augment import VAEModel
from vae_augment.privacy.public_space import PublicSpace, public_space


@pytest.fixture(scope="module")
def space(public_base: VAEModel) -> PublicSpace:
    return public_space(public_base, most=100)


def test_coordinates_of_public_images_have_the_norm_that_clipping_counts_on(
    space: PublicSpace, public_base: VAEModel
) -> None:
    latents = public_base.encode(public_base.sample(2000, seed=1)[0])[0].double().numpy()
    squared = (space.coordinates(latents) ** 2).sum(1)
    assert squared.mean() == pytest.approx(space.size, rel=0.1)


def test_a_gaussian_of_coordinates_is_one_of_latents(space: PublicSpace) -> None:
    generator = np.random.default_rng(0)
    coordinates = generator.normal(size=(5000, space.size)) * 0.5 + 1
    mean, covariance = space.latents(coordinates.mean(0), np.cov(coordinates.T))
    drawn = generator.multivariate_normal(mean, covariance + 1e-9 * np.eye(len(mean)), size=5000)
    back = space.coordinates(drawn)
    np.testing.assert_allclose(back.mean(0), 1, atol=0.05)
    np.testing.assert_allclose(back.std(0), 0.5, atol=0.05)


def test_the_first_axes_change_images_most(space: PublicSpace, public_base: VAEModel) -> None:
    changes = []
    for axis in (0, space.size - 1):
        step = np.zeros(space.size)
        step[axis] = 1
        ahead, _ = space.latents(step, np.zeros((space.size, space.size)))
        pair = torch.from_numpy(np.stack([space.centre, ahead])).float()
        first, second = public_base.decode(pair)
        changes.append((first - second).norm().item())
    assert changes[0] > changes[1]


def test_fewer_axes_are_the_first_ones(space: PublicSpace, public_base: VAEModel) -> None:
    few = public_space(public_base, most=3)
    assert few.size == 3
    assert np.linalg.matrix_rank(few.left_out, tol=1e-6) >= public_base.spec.latent_dim - 3
    ratio = few.to_coordinates / space.to_coordinates[:, :3]
    assert np.allclose(ratio, ratio[0, 0])
