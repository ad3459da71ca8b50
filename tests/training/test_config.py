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
    per_epoch = math.ceil(images / config.batch_size)
    epochs = config.for_images(images).epochs
    assert epochs
    assert (epochs - 1) * per_epoch < updates <= epochs * per_epoch
    assert replace(config, epochs=7).for_images(images).epochs == 7


def test_held_out_images_do_not_count_and_patience_grows_with_the_epochs() -> None:
    trainer = Trainer(
        shapes(40, 8, 1), FitConfig(network="conv-small", batch_size=10, held_out=0.25)
    )
    assert (trainer.facts["epochs"], trainer.facts["patience"]) == (500, 50)
    assert FitConfig(epochs=3).for_images(40).patience == 10
