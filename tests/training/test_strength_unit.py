"""The unit of strength: measured on images of the training, the same on every file."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vae_augment import VAEAugment, VAEModel, load
from vae_augment.exporters import export
from vae_augment.model.kinds import SAMPLING
from vae_augment.model.strength import STRENGTH
from vae_augment.training import ImageData, load_checkpoint, measure_unit, save_checkpoint
from vae_augment.training.data.image_data import to_float
from vae_augment.training.strength_unit import _distance


def test_strength_1_moves_an_image_by_its_share_of_the_distance(
    tiny_model: VAEModel, digits: ImageData
) -> None:
    entry = tiny_model.spec.evidence[STRENGTH]
    images = to_float(digits.images)
    moved = VAEAugment(tiny_model, p=1.0)(images)
    rms = (moved - images).flatten(1).square().mean(1).sqrt().mean().item()
    assert rms == pytest.approx(entry["share"] * entry["distance"], rel=0.05)
    assert (moved - images).abs().mean().item() == pytest.approx(entry["moves"], rel=0.05)


def test_the_unit_travels_from_the_checkpoint_into_the_file(
    tiny_checkpoint: Path, tiny_model: VAEModel
) -> None:
    stated = load_checkpoint(tiny_checkpoint).spec.strength_unit
    assert stated == tiny_model.spec.strength_unit
    assert stated is not None


def test_a_wider_posterior_has_a_smaller_unit(digits: ImageData) -> None:
    def encode(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        return images.flatten(1), torch.zeros(len(images), 64)

    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        return 0.5 + scale * latent.reshape(-1, 1, 8, 8)

    scale = 0.1
    narrow = measure_unit(encode, decode, SAMPLING, digits)[STRENGTH]["unit"]
    scale = 0.2
    wide = measure_unit(encode, decode, SAMPLING, digits)[STRENGTH]["unit"]
    assert narrow == pytest.approx(2 * wide, rel=0.02)


def test_there_is_no_unit_where_noise_moves_nothing(digits: ImageData) -> None:
    def encode(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(images), 2), torch.zeros(len(images), 2)

    def decode(latent: Tensor, labels: Tensor | None, images: Tensor) -> Tensor:
        return images

    assert measure_unit(encode, decode, SAMPLING, digits) == {}


def test_the_distance_is_that_of_the_nearest_image_of_the_class() -> None:
    levels = torch.tensor([0, 51, 255, 204], dtype=torch.uint8)  # 0, 0.2, 1 and 0.8
    images = levels[:, None, None, None].expand(4, 1, 2, 2)
    data = ImageData("four", images, torch.tensor([0, 0, 0, 1]), ("a", "b"))
    distance, rows = _distance(data)
    assert distance == pytest.approx((0.2 + 0.2 + 0.8) / 3)
    assert rows.tolist() == [0, 1, 2]  # the last one is alone in its class
    unlabelled = replace(data, labels=torch.full((4,), -1), classes=())
    assert _distance(unlabelled)[0] == pytest.approx(0.2)


def test_images_alone_in_their_data_have_no_distance() -> None:
    data = ImageData("one", torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([-1]))
    assert _distance(data)[0] == 0


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
