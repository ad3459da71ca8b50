"""The distribution that generation samples from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    fit_latents,
)
from vae_augment.training.latent_distribution import room_per_class
from vae_augment.training.networks import build_network


def test_latents_by_class_and_without(few: ImageData) -> None:
    model = build_network(few.image_shape, 6, network="conv-small", classes=10).eval()
    latents = fit_latents(model.encode, few)
    assert latents.weights.shape[0] == 10
    assert len(latents.bank) == len(latents.bank_given_label) == len(latents.bank_labels) == 0
    with_bank = fit_latents(model.encode, few, keep_bank=True)
    assert with_bank.bank.shape == with_bank.bank_given_label.shape == (200, 6)
    assert np.array_equal(with_bank.means, latents.means)
    unlabelled = ImageData("mine", few.images, torch.full_like(few.labels, -1))
    assert fit_latents(model.encode, unlabelled).weights.shape[0] == 1


def test_a_small_class_is_drawn_around_its_own_images(few: ImageData) -> None:
    model = build_network(few.image_shape, 6, network="conv-small").eval()
    rows = torch.cat([torch.nonzero(few.labels == label)[: 3 + label, 0] for label in range(2)])
    latents = fit_latents(model.encode, few.subset(rows))
    assert (latents.weights[0] > 0).sum() == 3
    assert (latents.weights[1] > 0).sum() == 4
    assert latents.weights.sum(1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("classes", "dim", "components"), [(10, 16, 150), (10, 24, 77), (10, 48, 20), (2000, 48, 2)]
)
def test_components_per_class_as_a_file_has_room(classes: int, dim: int, components: int) -> None:
    assert room_per_class(classes, dim, 3_000_000)[0] == components


def many_classes(count: int) -> ImageData:
    """Twenty images for each of `count` classes, half of them dark and half of them bright."""
    labels = torch.arange(20 * count) // 20
    images = torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8)
    images[::2, ..., ::2] = 100
    images[1::2, ..., ::2] = 255
    return ImageData("many", images, labels, tuple(map(str, range(count))))


def test_many_classes_get_fewer_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_augment.training.latent_distribution.MAX_FILE_BYTES", 2_000_000)
    network = build_network((1, 8, 8), 32, network="conv-small").eval()
    latents = fit_latents(network.encode, many_classes(40), keep_bank=True)
    # Without the limit, each of the twenty images of a class would be a component.
    assert room_per_class(40, 32, 0) == (4, 3)
    # Nor is a cluster of fewer than five images: there are two kinds of images.
    assert latents.weights.shape == (40, 2)
    assert latents.bank.shape == (40 * 3, 32)
    assert latents.weights.sum(1) == pytest.approx(1)


@pytest.mark.slow
def test_a_file_has_room_for_what_many_classes_get(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    config = FitConfig(network="conv-small", epochs=1, latent_dim=64, batch_size=3000)
    fit(many_classes(300), path, config)
    export(path, path.with_suffix(".onnx"))
    latents = load(path.with_suffix(".onnx")).spec.latents
    assert latents is not None
    assert latents.weights.shape == (300, 2)
