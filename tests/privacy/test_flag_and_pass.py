"""Files with a planted fault are flagged, sound ones pass: the table of docs/privacy.md.

python -m pytest -m slow tests/privacy -s prints its rows.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.helpers import DATA, needs_mnist
from vae_augment import VAEModel, load
from vae_augment.evaluation import audit
from vae_augment.exporters import export
from vae_augment.privacy.report import Audit
from vae_augment.training import FitConfig, ImageData, fit, load_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), needs_mnist]
ROW = "| {name} | {auc} | {rate} | {c_t} | {copied} | {authentic} | {found} |"


def some_digits(count: int) -> ImageData:
    data = load_data("mnist", DATA)
    generator = torch.Generator().manual_seed(0)
    return data.subset(torch.randperm(len(data), generator=generator)[:count].sort().values)


def fitted(
    data: ImageData, folder: Path, config: FitConfig, *, keep_bank: bool = False
) -> VAEModel:
    fit(data, folder / "a.safetensors", config, keep_bank=keep_bank)
    export(folder / "a.safetensors", folder / "a.onnx", keep_bank=keep_bank)
    return load(folder / "a.onnx", provider="cpu")


def audited(name: str, model: VAEModel, train: ImageData) -> Audit:
    found = audit(model, train, load_data(train.name, DATA, train=False))
    pixels = next(iter(found.copying_by_space.values()))
    row = ROW.format(
        name=name,
        auc=found.attacks[found.strongest].auc,
        rate=f"{found.tpr_at_1_percent or 0:.1%}",
        c_t=f"{found.copying:.1f}",
        copied=f"{max(0, pixels.copied.value):.0%}",
        authentic=f"{pixels.authentic.value:.0%} ({pixels.authentic_unseen.value:.0%})",
        found="**flagged**: " + ", ".join(_words(found)) if found.findings else "passes",
    )
    sys.stdout.write(f"{row}\n")
    return found


def _words(found: Audit) -> list[str]:
    """What each kind of finding is about."""
    kinds = {
        "can be told": "membership",
        "are exposed": "exposed images",
        "copy training": "copying",
        "carries": "bank",
        "components": "components",
    }
    text = " ".join(found.findings)
    return [kind for words, kind in kinds.items() if words in text]


def test_a_decoder_that_repeats_200_images_is_flagged(tmp_path: Path) -> None:
    data = some_digits(200)
    config = FitConfig(network="mlp", latent_dim=6, beta=0.001, epochs=5000, batch_size=200)
    found = audited(
        "decoder fitted on 200 images until it repeats them", fitted(data, tmp_path, config), data
    )
    assert found.membership_auc > 0.9
    assert {"membership", "copying"} <= set(_words(found))


def test_an_overfitted_vae_is_flagged(tmp_path: Path) -> None:
    data = some_digits(300)
    usual = FitConfig(network="mlp", conditional=True).for_data(data)
    assert usual.epochs is not None
    config = replace(usual, epochs=10 * usual.epochs)
    found = audited("VAE of 300 images, ten times the epochs", fitted(data, tmp_path, config), data)
    assert "membership" in _words(found)


def test_a_bank_is_flagged(tmp_path: Path) -> None:
    data = some_digits(5000)
    config = FitConfig(network="conv-small", conditional=True, epochs=10)
    model = fitted(data, tmp_path, config, keep_bank=True)
    found = audited("VAE of 5,000 images, `--keep-bank`", model, data)
    assert _words(found) == ["bank"]


def test_the_same_without_its_bank_passes(tmp_path: Path) -> None:
    data = some_digits(5000)
    config = FitConfig(network="conv-small", conditional=True, epochs=10)
    found = audited("the same without the bank", fitted(data, tmp_path, config), data)
    assert found.findings == ()


class Noise(nn.Module):
    """Decodes latents to noise that looks like nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into = nn.Linear(784, 16)
        self.out = nn.Linear(16, 784)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.into(image.flatten(1))
        return mean, 0 * mean

    def decode(self, latent: Tensor) -> Tensor:
        return (20 * self.out(latent)).sigmoid()


def test_noise_passes(tmp_path: Path) -> None:
    export(Noise().eval(), tmp_path / "noise.onnx", image_shape=(1, 28, 28))
    data = load_data("mnist", DATA)
    found = audited("noise", load(tmp_path / "noise.onnx", provider="cpu"), data)
    assert found.findings == ()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_bundled_files_pass(name: str) -> None:
    found = audited(f"`{name}`", load(name, provider="cpu"), load_data(name, DATA))
    assert found.findings == ()


@pytest.mark.parametrize(("name", "base"), [("mnist", "strokes"), ("fashion-mnist", "objects")])
def test_private_files_pass(name: str, base: str, tmp_path: Path) -> None:
    from vae_augment.privacy.private_fit import fit_private

    data = load_data(name, DATA)
    fit_private(data, tmp_path / "a.safetensors", epsilon=1, delta=1e-5, public=base)
    export(tmp_path / "a.safetensors", tmp_path / "a.onnx")
    model = load(tmp_path / "a.onnx", provider="cpu")
    found = audited(f"`{name}`, private, ε = 1", model, data)
    assert found.findings == ()
    assert 0.47 < found.membership_auc < 0.6
