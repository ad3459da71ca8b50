"""The distribution that generation samples from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.model.latents import Latents
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    fit_latents,
)
from vae_augment.training.data.image_data import to_float
from vae_augment.training.latent_distribution import LEAST_IMAGES, SPREAD_OF_FEW, room_per_class
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


def encoded(data: ImageData, dim: int = 6) -> tuple[Latents, np.ndarray]:
    """The latents fitted to images, and the means of the posteriors [N, D]."""
    model = build_network(data.image_shape, dim, network="conv-small").eval()
    mean, _ = model.encode(to_float(data.images), None)
    return fit_latents(model.encode, data), mean.detach().numpy()


def some_of_each(data: ImageData, counts: list[int]) -> ImageData:
    """So many images of the first classes, as a data set of these classes alone."""
    rows = [(data.labels == label).nonzero()[:count, 0] for label, count in enumerate(counts)]
    return data.subset(torch.cat(rows)).without_empty_classes()


@pytest.mark.parametrize("count", [5, 7, 10, 20])
def test_no_component_is_the_latent_of_an_image(digits: ImageData, count: int) -> None:
    latents, means = encoded(some_of_each(digits, [count] * 4))
    used = latents.weights > 0
    assert (latents.weights[used] * count >= LEAST_IMAGES - 1e-6).all()
    assert latents.weights.sum(1) == pytest.approx(1)
    distances = np.linalg.norm(latents.means[used][:, None] - means, axis=2)
    assert distances.min() > 1e-4


def test_a_class_of_few_images_varies_as_the_others_do(digits: ImageData) -> None:
    latents, means = encoded(some_of_each(digits, [100, 100, 3, 1]))
    assert (latents.weights[2:] > 0).sum(1).tolist() == [1, 1]
    assert latents.means[2, 0] == pytest.approx(means[200:203].mean(0), abs=1e-5)
    covariances = latents.scales[2:, 0] @ latents.scales[2:, 0].transpose(0, 2, 1)
    groups = (means[:100], means[100:200], means[200:203])
    scatter = sum((group - group.mean(0)).T @ (group - group.mean(0)) for group in groups)
    posterior = covariances[0] / SPREAD_OF_FEW**2 - scatter / (204 - 4)
    assert posterior == pytest.approx(np.diag(posterior.diagonal()), abs=1e-4)
    assert (posterior.diagonal() > 0).all()
    assert np.array_equal(covariances[0], covariances[1])


def test_a_single_image_can_be_fitted(digits: ImageData) -> None:
    for data in (digits.subset(torch.arange(1)), some_of_each(digits, [1, 1])):
        latents, _ = encoded(data)
        assert np.isfinite(latents.scales).all()


@pytest.mark.parametrize(
    ("classes", "dim", "components"), [(10, 24, 150), (10, 32, 86), (10, 48, 39), (2000, 48, 4)]
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
    assert room_per_class(40, 32, 0) == (7, 8)
    # There are two kinds of images in a class, so two clusters.
    assert latents.weights.shape == (40, 2)
    assert latents.bank.shape == (40 * 8, 32)
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
