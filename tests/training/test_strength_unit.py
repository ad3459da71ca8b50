"""The unit of strength: measured on images of the training, the same on every file."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vae_augment import VAEAugment, VAEModel, load
from vae_augment.exporters import export
from vae_augment.model.kinds import REDRAWING, SAMPLING
from vae_augment.model.strength import STRENGTH
from vae_augment.training import ImageData, load_checkpoint, measure_unit, save_checkpoint
from vae_augment.training.data.image_data import to_float
from vae_augment.training.strength_unit import CHANGE


def pixels(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """An encoder whose latents are the pixels, with a spread of 1."""
    return images.flatten(1), torch.zeros(len(images), 64)


def test_strength_1_changes_an_image_by_so_much(tiny_model: VAEModel, digits: ImageData) -> None:
    images = to_float(digits.images)
    moved = VAEAugment(tiny_model, p=1.0)(images)
    assert (moved - images).abs().mean().item() == pytest.approx(CHANGE, rel=0.05)
    assert tiny_model.spec.evidence[STRENGTH]["changes"] == CHANGE


def test_the_unit_travels_from_the_checkpoint_into_the_file(
    tiny_checkpoint: Path, tiny_model: VAEModel
) -> None:
    stated = load_checkpoint(tiny_checkpoint).spec.strength_unit
    assert stated == tiny_model.spec.strength_unit
    assert stated is not None


def test_a_wider_posterior_has_a_smaller_unit(digits: ImageData) -> None:
    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        return 0.5 + scale * latent.reshape(-1, 1, 8, 8)

    scale = 0.1
    narrow = measure_unit(pixels, decode, SAMPLING, digits)[STRENGTH]["unit"]
    scale = 0.2
    wide = measure_unit(pixels, decode, SAMPLING, digits)[STRENGTH]["unit"]
    assert narrow == pytest.approx(2 * wide, rel=0.02)


def test_there_is_no_unit_where_noise_changes_nothing(digits: ImageData) -> None:
    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        return images

    assert measure_unit(pixels, decode, SAMPLING, digits) == {}


def test_what_redraws_is_measured_from_strength_0(digits: ImageData) -> None:
    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        noise = (latent - images.flatten(1)).reshape(-1, 1, 8, 8)
        return 1 - images + 0.1 * noise

    unit = measure_unit(pixels, decode, REDRAWING, digits)[STRENGTH]["unit"]
    mean_of_normal = (2 / torch.pi) ** 0.5
    assert 0.1 * unit * mean_of_normal == pytest.approx(CHANGE, rel=0.02)


def test_a_large_class_counts_as_a_small_one(digits: ImageData) -> None:
    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        is_bright = images.mean((1, 2, 3), keepdim=True) > 0.5
        return 0.5 + torch.where(is_bright, 0.1, 0.02) * latent.reshape(-1, 1, 8, 8)

    labels = torch.tensor([0] * 90 + [1] * 10)
    images = (255 * labels[:, None, None, None]).expand(-1, 1, 8, 8).to(torch.uint8)
    many_dark = ImageData("many dark", images, labels, ("dark", "bright"))
    equal = many_dark.subset(torch.arange(80, 100))
    found, expected = (
        measure_unit(pixels, decode, SAMPLING, data)[STRENGTH]["unit"]
        for data in (many_dark, equal)
    )
    assert found == pytest.approx(expected, rel=0.02)


def test_export_measures_it_on_images_that_it_is_given(
    tiny_checkpoint: Path, digits: ImageData, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    bare = tmp_path / "bare.safetensors"
    save_checkpoint(replace(checkpoint, spec=replace(checkpoint.spec, evidence={})), bare)
    export(bare, tmp_path / "without.onnx")
    assert load(tmp_path / "without.onnx").spec.strength_unit is None
    export(bare, tmp_path / "with.onnx", images=digits)
    assert load(tmp_path / "with.onnx").spec.strength_unit == checkpoint.spec.strength_unit
