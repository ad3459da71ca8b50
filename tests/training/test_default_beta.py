"""The weight of the KL term where none is given."""

import dataclasses

import pytest
import torch

from tests.training.helpers import shapes
from vae_augment.training import FitConfig, ImageData
from vae_augment.training.default_beta import LEAST_BETA, default_beta


def test_drawings_in_black_and_white_keep_the_bound_of_the_likelihood() -> None:
    drawings = torch.randint(2, (50, 1, 8, 8), dtype=torch.uint8) * 255
    assert default_beta(drawings) == 1


def test_grey_and_coloured_images_get_less_the_less_they_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for spread in (120, 80, 10):
        change = torch.randint(-spread, spread + 1, (200, 3, 8, 8), generator=generator)
        found.append(default_beta((127 + change).to(torch.uint8)))
    assert 1 > found[0] > found[1] > found[2] == LEAST_BETA


def test_images_that_are_all_alike_get_the_least() -> None:
    assert default_beta(torch.full((5, 1, 8, 8), 90, dtype=torch.uint8)) == LEAST_BETA


@pytest.mark.parametrize(
    ("network", "given", "expected"),
    [("conv", None, 0.06), ("conv-small", 0.4, 0.4), ("mlp", None, 1), ("energy", None, 1)],
)
def test_it_is_for_convolutional_networks_without_a_beta(
    network: str, given: float | None, expected: float
) -> None:
    config = FitConfig(network=network, beta=given)
    assert config.for_data(shapes(30)).beta == pytest.approx(expected, rel=0.2)


def test_it_does_not_depend_on_the_labels(digits: ImageData) -> None:
    unlabelled = dataclasses.replace(digits, labels=torch.full_like(digits.labels, -1), classes=())
    assert FitConfig().for_data(digits).beta == FitConfig().for_data(unlabelled).beta
