"""Settings that follow from the images where none are given."""

import dataclasses

import pytest
import torch

from tests.training.helpers import shapes
from vae_augment.training import FitConfig, ImageData
from vae_augment.training.defaults import (
    LEAST_BETA,
    beta_of_likelihood,
    default_updates,
    most_updates,
    suited_to,
    updates_of_drawn_classes,
)
from vae_augment.training.networks.vae import ConvVAE


def unlabelled(data: ImageData) -> ImageData:
    return dataclasses.replace(data, labels=torch.full_like(data.labels, -1), classes=())


def test_drawings_in_black_and_white_keep_the_bound_of_the_likelihood() -> None:
    drawings = torch.randint(2, (50, 1, 8, 8), dtype=torch.uint8) * 255
    assert beta_of_likelihood(drawings) == 1


def test_grey_and_coloured_images_get_less_the_less_they_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for spread in (120, 80, 10):
        change = torch.randint(-spread, spread + 1, (200, 3, 8, 8), generator=generator)
        found.append(beta_of_likelihood((127 + change).to(torch.uint8)))
    assert 1 > found[0] > found[1] > found[2] == LEAST_BETA


def test_images_that_are_all_alike_get_the_least() -> None:
    assert beta_of_likelihood(torch.full((5, 1, 8, 8), 90, dtype=torch.uint8)) == LEAST_BETA


@pytest.mark.parametrize(
    ("network", "given", "expected"),
    [("conv", None, 0.06), ("conv-small", 0.4, 0.4), ("mlp", None, 1), ("energy", None, 0.1)],
)
def test_it_is_for_convolutional_networks_without_a_beta(
    network: str, given: float | None, expected: float
) -> None:
    config = FitConfig(network=network, beta=given)
    assert config.for_data(shapes(30)).beta == pytest.approx(expected, rel=0.2)


def test_it_does_not_depend_on_the_labels(digits: ImageData) -> None:
    config = FitConfig(network="conv")
    assert config.for_data(digits).beta == config.for_data(unlabelled(digits)).beta


def test_labelled_images_get_what_lets_samples_teach_their_classes() -> None:
    drawings = ImageData(
        "drawings",
        torch.randint(2, (50, 1, 8, 8), dtype=torch.uint8) * 255,
        torch.arange(50) % 2,
        ("a", "b"),
    )
    grey = dataclasses.replace(drawings, images=120 + drawings.images // 8)

    def chosen(data: ImageData, config: FitConfig) -> tuple[str | None, int | None]:
        settled = config.for_data(data)
        return settled.network, settled.latent_dim

    def beta(config: FitConfig) -> float | None:
        return config.for_data(drawings).beta

    assert chosen(grey, FitConfig()) == ("energy", 32)
    assert chosen(grey, FitConfig(latent_dim=7)) == ("energy", 7)
    assert chosen(grey, FitConfig(network="conv-small")) == ("conv-small", 20)
    assert chosen(grey, FitConfig(denoise=0.3)) == ("conv", 20)
    assert chosen(grey, FitConfig(conditional=False)) == ("conv", 20)
    assert chosen(unlabelled(grey), FitConfig()) == ("conv", 20)
    assert chosen(grey.subset(torch.arange(40)), FitConfig()) == ("conv", 20)
    assert chosen(drawings, FitConfig()) == ("conv", 32)
    assert chosen(drawings, FitConfig(network="mlp")) == ("mlp", 20)
    assert chosen(drawings, FitConfig(denoise=0.3)) == ("conv", 20)
    assert chosen(unlabelled(drawings), FitConfig()) == ("conv", 20)
    assert chosen(drawings.subset(torch.arange(40)), FitConfig()) == ("conv", 20)
    few_known = dataclasses.replace(grey, labels=grey.labels.where(torch.arange(50) < 40, -1))
    assert chosen(few_known, FitConfig()) == ("conv", 20)
    assert (beta(FitConfig()), beta(FitConfig(conditional=False))) == (0.3, 1)


@pytest.mark.parametrize(("images", "updates"), [(1, 4), (1_000, 3_125), (5_000, 15_625)])
def test_drawn_classes_are_seen_four_hundred_times(images: int, updates: int) -> None:
    assert updates_of_drawn_classes(images, 28 * 28) == updates


@pytest.mark.parametrize(("side", "updates"), [(8, 16_000), (28, 16_000), (32, 12_250)])
def test_so_many_updates_have_an_end_and_it_comes_sooner_for_large_images(
    side: int, updates: int
) -> None:
    assert updates_of_drawn_classes(5_120, side**2) == updates
    assert updates_of_drawn_classes(60_000, side**2) == updates


def test_only_labelled_drawings_are_trained_longer_and_never_shorter() -> None:
    drawings = torch.randint(2, (2_000, 1, 8, 8), dtype=torch.uint8) * 255
    data = ImageData("drawings", drawings, torch.arange(2_000) % 2, ("a", "b"))

    def epochs(data: ImageData, config: FitConfig) -> int | None:
        return config.for_data(data).epochs

    usual = -(-default_updates(2_000) // 16)
    assert epochs(data, FitConfig()) == -(-6_250 // 16)
    assert epochs(data, FitConfig(network="mlp")) == usual
    assert epochs(unlabelled(data), FitConfig()) == usual
    assert epochs(data, FitConfig(epochs=3)) == 3
    few = data.subset(torch.arange(60))
    assert epochs(few, FitConfig()) == default_updates(60)


def grey_classes(side: int, count: int = 300) -> ImageData:
    images = 120 + torch.randint(20, (count, 1, side, side), dtype=torch.uint8)
    return ImageData("grey", images, torch.arange(count) % 2, ("a", "b"))


@pytest.mark.parametrize(("network", "updates"), [("energy", 1_098), ("conv", 4_104)])
def test_large_images_get_no_more_updates_than_half_an_hour_holds(
    network: str, updates: int
) -> None:
    images = grey_classes(64, 1).images.expand(5_000, -1, -1, -1)
    assert suited_to(images, per_class=2_500, network=network).updates == updates


@pytest.mark.parametrize(
    ("count", "side", "network", "updates"),
    [
        (300, 52, "energy", 1_607),
        (300, 53, "conv", 1_607),
        (60_000, 28, "energy", 5_739),
        (60_000, 38, "energy", 3_116),
        (60_000, 39, "conv", 9_396),
        (60_000, 100, "conv", 2_600),
    ],
)
def test_images_too_large_for_texture_within_half_an_hour_get_conv(
    count: int, side: int, network: str, updates: int
) -> None:
    images = grey_classes(side, 100).images[torch.arange(100).repeat(count // 100)]
    suited = suited_to(images, per_class=count / 2)
    assert (suited.network, suited.updates) == (network, updates)


def test_there_is_an_update_of_any_image() -> None:
    assert most_updates(ConvVAE, 10**9) == 1
