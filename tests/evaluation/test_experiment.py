"""The distortions, the classifier and the pictures that comparisons are made of."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from vae_augment import VAEModel
from vae_augment.evaluation.classifier import accuracy, train_classifier
from vae_augment.evaluation.pictures import Row, draw_rows, preview_rows, save_rows
from vae_augment.evaluation.splits import choose_labels
from vae_augment.training import ImageData
from vae_augment.training.data.image_data import to_float
from vae_augment.transforms.distortions import (
    _elastic_field,
    affine,
    affine_elastic,
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


def test_classifier_learns_and_repeats(digits: ImageData) -> None:
    images, labels = to_float(digits.images[:300]), digits.labels[:300]
    one, two = (train_classifier(images, labels, 10, updates=200, seed=4) for _ in range(2))
    assert torch.equal(one[0].weight, two[0].weight)
    assert accuracy(one, to_float(digits.images[300:600]), digits.labels[300:600]) > 70


def test_labelled_draws_are_balanced_and_differ(digits: ImageData) -> None:
    one, same, other = (choose_labels(digits, seed, 3).labelled for seed in (0, 0, 1))
    assert one.labels.bincount().tolist() == [3] * 10
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)


def test_preview_shows_what_it_says(
    tiny_model: VAEModel, digits: ImageData, tmp_path: Path
) -> None:
    rows = preview_rows(tiny_model, digits.images)
    captions = [row.caption for row in rows]
    assert captions[:3] == ["originals", "reconstructions", "strength 0.5"]
    assert captions[-10:] == list("0123456789")
    path = tmp_path / "p.png"
    save_rows(rows, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["p.png"]


def test_picture_places_pixels_under_their_captions() -> None:
    picture = draw_rows(
        [
            Row("heading"),
            Row("white", torch.ones(2, 1, 4, 4)),
            Row("red", torch.eye(3)[:1, :, None, None]),
        ]
    )
    width, height = picture.size
    assert picture.getpixel((width - 30, height - 80)) == (255, 255, 255)
    assert picture.getpixel((width - 60 - 30, height - 30)) == (255, 0, 0)
