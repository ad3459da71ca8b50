"""The distortions: how far each moves an image, and each image in its own way."""

import pytest
import torch
from torchvision.transforms import v2

from vae_augment.transforms.distortions import (
    _elastic_field,
    affine,
    affine_elastic,
    flip_shift,
    one_by_one,
    thickness,
)


@pytest.mark.parametrize("distort", [affine, affine_elastic, thickness])
def test_distortions_move_each_image_its_own_way(distort: "torch.nn.Module") -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[..., 8:20, 12:16] = 1
    out = distort(image.expand(32, -1, -1, -1))
    assert len(out.unique(dim=0)) == 32
    assert out.min() >= 0
    assert out.max() <= 1


def test_a_transform_of_one_image_changes_each_of_a_batch_in_its_own_way() -> None:
    batch = torch.rand(1, 3, 16, 16).expand(64, -1, -1, -1)
    out = one_by_one(v2.TrivialAugmentWide(), batch)
    assert (out.dtype, out.shape) == (torch.float32, batch.shape)
    assert len(out.unique(dim=0)) > 32
    assert torch.equal(one_by_one(torch.nn.Identity(), out), out)


def test_affine_shift_is_at_most_two_of_28_pixels() -> None:
    image = torch.zeros(500, 1, 28, 28)
    image[..., 13:15, 13:15] = 1
    rows = torch.arange(28.0)
    out = affine(image)
    centre = (out.sum((1, 3)) * rows).sum(1) / out.sum((1, 2, 3))
    assert 1.5 < (centre - 13.5).abs().max() < 2.6


def test_affine_keeps_the_mass_within_what_its_scales_allow() -> None:
    image = torch.zeros(200, 1, 28, 28)
    image[..., 8:20, 12:16] = 1
    mass = affine(image).sum((1, 2, 3)) / 48
    assert mass.min() > 0.85**2 - 0.03
    assert mass.max() < 1.15**2 + 0.03


def test_thickness_adds_and_takes_away_at_most_a_pixel_on_each_side() -> None:
    image = torch.zeros(400, 1, 28, 28)
    image[..., 6:22, 12:16] = 1
    out = thickness(image)
    mass = out.sum((1, 2, 3)) / 64
    assert 1.6 < mass.max() <= 18 * 6 / 64
    assert 1 - 0.7 * (1 - 14 * 2 / 64) - 1e-6 <= mass.min() < 0.7
    assert 0.4 < (mass > 1).float().mean() < 0.6
    assert not out[..., :5, :].any()
    assert not out[..., :11].any()


@pytest.mark.parametrize("side", [8, 28, 64])
def test_elastic_displacement_is_that_of_simard(side: int) -> None:
    field = (
        _elastic_field(torch.zeros(200, 1, side, side)) * 14
    )  # half a side of 28 is 1 in the grid's coordinates
    assert 1.1 < field.square().mean().sqrt() < 1.5


def test_flip_and_shift_move_whole_pixels() -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[..., 10:18, 12:15] = torch.tensor([0.2, 0.4, 0.6])
    out = flip_shift(image.expand(200, -1, -1, -1))
    assert len(out.mul(1000).round().unique(dim=0)) > 30  # of 5 x 5 shifts, mirrored or not
    torch.testing.assert_close(out.sum((1, 2, 3)), image.sum().expand(200))
