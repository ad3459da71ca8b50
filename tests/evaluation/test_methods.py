"""The methods that are compared: their names, how a user writes them, and what they share."""

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.errors import InputError
from vae_augment.evaluation.classifier import identity
from vae_augment.evaluation.methods import Method, methods_to_try
from vae_augment.evaluation.repetition import Repetition
from vae_augment.training import ImageData

SMALL = (1, 8, 8)
WITHOUT_VAE = [
    "none",
    "affine+elastic",
    "thickness+affine+elastic",
    "flip+shift",
    "TrivialAugmentWide",
]
WITH_VAE = [
    "VAE",
    "thickness+affine+elastic+VAE",
    "flip+shift+VAE",
    "strong VAE",
    "thickness+affine+elastic+strong VAE",
    "flip+shift+strong VAE",
]


def names(methods: tuple[Method, ...]) -> list[str]:
    return [method.name for method in methods]


def test_all_methods_are_tried() -> None:
    assert names(methods_to_try(SMALL)) == WITHOUT_VAE + WITH_VAE
    given = methods_to_try(SMALL, model="my.onnx", settings={"strength": 2.0})
    assert names(given) == WITHOUT_VAE + WITH_VAE[:3]
    assert {method.trained_on for method in given[5:]} == {"given"}
    assert {method.trained_on for method in methods_to_try(SMALL, pool=True)[5:]} == {"pool"}


def test_glyphs_is_tried_on_images_that_it_takes() -> None:
    shape = load("glyphs", provider="cpu").spec.image_shape
    assert names(methods_to_try(shape))[-1] == "glyphs+thickness+affine+elastic"
    assert methods_to_try(shape)[-1].vae_is_first


def test_methods_can_be_chosen_by_name() -> None:
    chosen = methods_to_try(SMALL, names=["strong VAE", "flip+shift"])
    assert names(chosen) == ["none", "flip+shift", "strong VAE"]
    with pytest.raises(InputError, match="There is no method 'affine' for these images"):
        methods_to_try(SMALL, names=["affine"])


def test_a_method_is_written_as_a_user_writes_it() -> None:
    settings = {"strength": 2.0, "residual": False}
    methods = methods_to_try(SMALL, model="my.onnx", settings=settings)
    assert methods[-1].usage == (
        "VAEAugment('my.onnx', strength=2.0, residual=False) after mirroring and shifting"
    )
    assert methods_to_try(SMALL)[5].usage == "VAEAugment(MODEL) and no other augmentation"


def test_methods_share_the_vae_of_a_repetition(tiny_model: VAEModel, digits: ImageData) -> None:
    made = []

    def make(repetition: Repetition) -> VAEModel:
        made.append(repetition)
        return tiny_model

    repetition = Repetition(digits, digits, seed=0)
    for _ in range(2):
        Method("a", make_vae=make).augmentation(repetition)
    assert made == [repetition]


@pytest.mark.parametrize("vae_is_first", [True, False])
def test_the_vae_perturbs_before_or_after_the_distortion(
    tiny_model: VAEModel, digits: ImageData, vae_is_first: bool
) -> None:
    def black(images: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(images)

    method = Method(
        "a", black, lambda repetition: tiny_model, {"p": 1.0}, vae_is_first=vae_is_first
    )
    images = torch.rand(5, 1, 8, 8)
    found = method.augmentation(Repetition(digits, digits, seed=0))(images)
    assert (found == 0).all() == vae_is_first
    assert Method("b").augmentation(Repetition(digits, digits, seed=0)) is identity
