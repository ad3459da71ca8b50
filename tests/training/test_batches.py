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
