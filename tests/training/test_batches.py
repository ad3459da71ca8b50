"""What a step gets: images, noise and targets."""

from dataclasses import replace

import torch

from tests.training.helpers import SMALL
from vae_augment.training import (
    ImageData,
)
from vae_augment.training.trainer import Trainer


def test_denoising_takes_noise_in_and_clean_images_out(few: ImageData) -> None:
    trainer = Trainer(few, replace(SMALL, denoise=0.5))
    batch = trainer.batches.at(3)
    noisy = batch.image
    assert 0.1 < (noisy - batch.target).std() < 0.5
    assert torch.equal(noisy, Trainer(few, trainer.config).batches.at(3).image)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_small_moves_take_input_and_target_alike_and_anew_in_each_epoch(few: ImageData) -> None:
    still = Trainer(few, replace(SMALL, distort=False)).batches.at(0)
    moved = Trainer(few, replace(SMALL, distort=True)).batches
    batch = moved.at(0)
    assert torch.equal(batch.image, batch.target)
    change = (batch.target - still.target).abs().mean()
    strangers = (still.target - still.target.roll(1, 0)).abs().mean()
    assert 0.1 * strangers < change < 0.7 * strangers
    assert torch.equal(
        batch.target, Trainer(few, replace(SMALL, distort=True)).batches.at(0).target
    )
    assert not torch.equal(batch.target, moved.at(4).target)


def test_ground_beyond_the_border_is_like_that_at_it() -> None:
    grey = ImageData(
        "grey",
        torch.full((64, 3, 28, 28), 200, dtype=torch.uint8),
        torch.arange(64) % 2,
        ("a", "b"),
    )
    target = Trainer(grey, replace(SMALL, distort=True)).batches.at(0).target
    assert torch.allclose(target, torch.tensor(200 / 255), atol=1e-4)
