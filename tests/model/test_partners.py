"""Partners for interpolation: drawn from the file's distribution, or those of its bank."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.errors import InputError
from vae_augment.exporters import export
from vae_augment.model.partners import PER_CLASS
from vae_augment.training import FitConfig, ImageData, fit


def test_no_latent_of_a_training_image_travels(tiny_model: VAEModel) -> None:
    latents = tiny_model.spec.latents
    assert latents is not None
    assert len(latents.bank) == 0


def test_partners_are_samples_of_each_class(tiny_model: VAEModel) -> None:
    partners = tiny_model.partners
    assert partners is not None
    assert partners.labels.bincount().tolist() == [PER_CLASS] * 10
    images = tiny_model.decode(partners.given_label, partners.labels)
    without = tiny_model.encode(images)[0]
    torch.testing.assert_close(partners.without_label, without, atol=1e-4, rtol=1e-4)


def test_another_process_finds_the_same_partners(tiny_model_path: Path) -> None:
    first, second = (load(tiny_model_path, provider="cpu").partners for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first.given_label, second.given_label)
    assert torch.equal(first.without_label, second.without_label)


def test_a_model_of_a_normal_distribution_has_none(tiny_model: VAEModel) -> None:
    file = replace(tiny_model.file, spec=replace(tiny_model.spec, latents=None))
    assert VAEModel(file, provider="cpu").partners is None


def test_a_bank_is_kept_when_it_is_asked_for(digits: ImageData, tmp_path: Path) -> None:
    few = digits.subset(torch.arange(250))
    config = FitConfig(network="mlp", epochs=1, conditional=False)
    checkpoint = tmp_path / "kept.safetensors"
    fit(few, checkpoint, config, keep_bank=True)
    export(checkpoint, tmp_path / "kept.onnx", keep_bank=True)
    export(checkpoint, tmp_path / "dropped.onnx")
    kept, dropped = (load(tmp_path / f"{name}.onnx") for name in ("kept", "dropped"))
    assert kept.spec.latents is not None
    assert dropped.spec.latents is not None
    assert len(dropped.spec.latents.bank) == 0
    assert kept.partners is not None
    assert torch.equal(kept.partners.labels, torch.from_numpy(kept.spec.latents.bank_labels))
    assert torch.allclose(
        kept.partners.given_label,
        kept.encode(few.images)[0][_rows(kept, few)],
        atol=1e-5,
    )
    fit(few, tmp_path / "none.safetensors", config)
    with pytest.raises(InputError, match="the source has no bank of latents"):
        export(tmp_path / "none.safetensors", tmp_path / "none.onnx", keep_bank=True)
    assert not (tmp_path / "none.onnx").exists()


def _rows(model: VAEModel, data: ImageData) -> torch.Tensor:
    """Which images of `data` the bank of the model has."""
    assert model.partners is not None
    means = model.encode(data.images)[0]
    return torch.cdist(model.partners.given_label, means).argmin(1)
