"""Which settings are refused, and how long a training is by default."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.helpers import SMALL, shapes
from vae_augment.errors import InputError
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
)
from vae_augment.training.trainer import Trainer

NETWORKS_KNOWN = (
    "network is 'vit'; choose one of mlp, conv-small, conv, conv-large, energy-small, energy, "
    "energy-large, redrawing."
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1."),
        ({"epochs": 2.5}, "epochs is 2.5; it must be an integer."),
        ({"batch_size": True}, "batch_size is True; it must be an integer."),
        ({"seed": 1.0}, "seed is 1.0; it must be an integer."),
        ({"seed": -1}, "seed is -1; it must lie in 0..2**64 - 1."),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be greater than 0."),
        ({"label_dropout": 2.0}, "label_dropout is 2.0; it must lie in [0, 1]."),
        ({"epochs": None, "minutes": 0}, "minutes is 0.0; it must be finite and greater than 0."),
        ({"network": "vit"}, NETWORKS_KNOWN),
        ({"denoise": -0.1}, "denoise is -0.1; it must be finite and at least 0."),
    ],
)
def test_config_refusals(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(SMALL, **changes)
    assert str(caught.value) == message


def test_a_config_of_numpys_numbers_can_be_saved_and_resumed(digits: ImageData, tmp_path: Path):
    changes = {
        "seed": np.int64(3),
        "epochs": np.int32(1),
        "beta": np.float32(0.5),
        "batch_size": torch.tensor(900),
    }
    config = FitConfig(network="conv-small", **changes)
    assert config == FitConfig(network="conv-small", seed=3, epochs=1, beta=0.5, batch_size=900)
    assert fit(digits, tmp_path / "a.safetensors", config).spec.training["seed"] == 3


@pytest.mark.parametrize(
    ("images", "updates"),
    [
        (1, 1500),
        (100, 1500),
        (300, 1608),
        (1_000, 2400),
        (10_000, 5171),
        (60_000, 9396),
        (1_000_000, 24_000),
    ],
)
def test_the_default_number_of_updates_grows_with_the_images(images: int, updates: int) -> None:
    config = FitConfig()
    data = labelled([-1]).subset(torch.zeros(images, dtype=torch.int64))
    per_epoch = math.ceil(images / config.batch_size)
    epochs = config.for_data(data).epochs
    assert epochs
    assert (epochs - 1) * per_epoch < updates <= epochs * per_epoch
    assert replace(config, epochs=7).for_data(data).epochs == 7


@pytest.mark.parametrize(
    ("network", "images", "is_distorted"),
    [
        ("conv", 49_999, True),
        ("conv", 50_000, False),
        ("energy", 49_999, True),
        ("mlp", 100, False),
        ("redrawing", 100, False),
    ],
)
def test_few_images_are_distorted_where_nothing_is_said(
    network: str, images: int, is_distorted: bool
) -> None:
    data = labelled([0, 1]).subset(torch.arange(images) % 2)
    assert FitConfig(network=network, beta=1.0).for_data(data).distort is is_distorted
    assert FitConfig(distort=True).for_data(data).distort is True
    assert FitConfig(distort=False).for_data(data).distort is False


def test_held_out_images_do_not_count_and_patience_grows_with_the_epochs() -> None:
    trainer = Trainer(
        shapes(40, 8, 1), FitConfig(network="conv-small", batch_size=10, held_out=0.25)
    )
    assert (trainer.facts["epochs"], trainer.facts["patience"]) == (500, 50)
    assert FitConfig(epochs=3).for_data(shapes(40, 8, 1)).patience == 10


def labelled(labels: list[int]) -> ImageData:
    """An image of one pixel for each label."""
    images = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
    return ImageData("made", images, torch.tensor(labels), ("a", "b", "c"))


@pytest.mark.parametrize(
    ("labels", "network", "given", "expected"),
    [
        ([0, 1, 2], "conv", None, True),
        ([0, -1, 1], "mlp", None, True),
        ([0, 0, -1], "conv", None, False),
        ([-1, -1], "conv", None, False),
        ([0, 0, 1, 1], "redrawing", None, False),
        ([0, 1], "conv", False, False),
        ([0, 1], "conv", True, True),
    ],
)
def test_labels_of_two_classes_are_used_where_nothing_is_said(
    labels: list[int], network: str, given: bool | None, expected: bool
) -> None:
    config = FitConfig(network=network, conditional=given)
    assert config.for_data(labelled(labels)).conditional is expected


def test_epochs_and_minutes_exclude_each_other() -> None:
    with pytest.raises(InputError, match=r"epochs is 3 and minutes is 2\. Give one of the two"):
        FitConfig(epochs=3, minutes=2)
