"""What the demo trains on."""

import pytest
import torch

from vae_augment import VAEModel
from vae_augment.evaluation import demonstration
from vae_augment.evaluation.repetition import Repetition
from vae_augment.training import ImageData


def test_half_of_the_training_images_are_synthetic(
    tiny_model: VAEModel, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstration, "fit_model", lambda data, config: tiny_model)
    repetition = Repetition(digits.subset(torch.arange(15)), digits, seed=3)
    images, labels = demonstration.half_synthetic(repetition)
    count = demonstration.SAMPLES
    real_images, real_labels = repetition.labelled_batch()
    assert torch.equal(images[15:30], real_images)
    assert torch.equal(labels[15:30], real_labels)
    generated, classes = tiny_model.sample(count, seed=3)
    assert torch.equal(images[count:], generated)
    assert torch.equal(labels[count:], classes)
