"""What is shown for which settings, and the code that gives the same bytes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.app.originals import DataImages, Original
from vae_augment.app.perturbing import Settings, has_residual, perturb, usable_modes
from vae_augment.errors import InputError
from vae_augment.training import ImageData
from vae_augment.transforms.perturbation import MODES


@pytest.fixture
def image(digits: ImageData) -> Original:
    return DataImages(digits, "digits").original(5, (1, 8, 8))


def nine(code: str) -> torch.Tensor:
    names: dict[str, Any] = {}
    exec(code, names)
    return names["nine"]


ALL = [
    *(Settings(mode=mode, strength=2.5, seed=3) for mode in MODES),
    Settings(strength=0.5, p=0.35, residual=True, seed=1),
    Settings(mode="prior", label="7"),
]


@pytest.mark.parametrize("settings", ALL, ids=str)
def test_the_code_gives_the_same_bytes(
    settings: Settings, image: Original, tiny_model: VAEModel
) -> None:
    shown = perturb(tiny_model, str(tiny_model.path), image, settings)
    assert nine(shown.code).equal(shown.versions)
    assert shown.versions.shape == shown.distorted.shape == (9, 1, 8, 8)
    assert len(shown.versions.unique(dim=0)) > 1
    assert len(shown.distorted.unique(dim=0)) == 9


def test_every_setting_counts(image: Original, tiny_model: VAEModel) -> None:
    shown = [perturb(tiny_model, "tiny", image, settings).versions for settings in ALL]
    others = [(a, b) for a in range(len(ALL)) for b in range(a)]
    assert [pair for pair in others if shown[pair[0]].equal(shown[pair[1]])] == []


def test_p_leaves_some_as_they_are(image: Original, tiny_model: VAEModel) -> None:
    versions = perturb(tiny_model, "tiny", image, Settings(p=0.5)).versions
    same = [version.equal(image.image) for version in versions]
    assert 0 < sum(same) < 9


def test_the_generator_of_the_process_is_left_as_it_was(
    image: Original, tiny_model: VAEModel
) -> None:
    before = torch.get_rng_state()
    perturb(tiny_model, "tiny", image, Settings())
    assert torch.get_rng_state().equal(before)


def test_two_clicks_at_once_do_not_mix(image: Original, tiny_model: VAEModel) -> None:
    def versions(seed: int) -> torch.Tensor:
        return perturb(tiny_model, "tiny", image, Settings(seed=seed)).versions

    alone = [versions(seed) for seed in range(20)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(versions, range(20)))
    assert all(map(torch.equal, alone, together))


def test_prior_needs_a_class(image: Original, tiny_model: VAEModel) -> None:
    unknown = image._replace(label="")
    with pytest.raises(InputError, match=r"needs the class of image 5 of digits.*Choose it"):
        perturb(tiny_model, "tiny", unknown, Settings(mode="prior"))
    foreign = image._replace(label="ant")
    with pytest.raises(InputError, match="There is no class 'ant'"):
        perturb(tiny_model, "tiny", foreign, Settings(mode="prior"))


def test_a_model_that_redraws_has_one_mode(digits: ImageData) -> None:
    glyphs = load("glyphs", provider="cpu")
    assert usable_modes(glyphs) == ["posterior"]
    assert not has_residual(glyphs)
    image = DataImages(digits, "digits").original(5, (1, 28, 28))
    shown = perturb(glyphs, "glyphs", image, Settings(strength=0.8))
    assert 'VAEAugment("glyphs", strength=0.8, p=1)' in shown.code
    assert nine(shown.code).equal(shown.versions)


def test_a_model_that_samples_has_all_modes(tiny_model: VAEModel) -> None:
    assert usable_modes(tiny_model) == list(MODES)
    assert has_residual(tiny_model)


def test_the_path_of_a_model_stands_in_the_code(
    image: Original, tiny_model: VAEModel, tiny_model_path: Path
) -> None:
    code = perturb(tiny_model, "my 'model'.onnx", image, Settings()).code
    assert "VAEAugment(\"my 'model'.onnx\", mode=" in code
