"""The images that most tests of training use."""

import pytest
import torch

from vae_augment.training import ImageData


@pytest.fixture(scope="session")
def few(digits: ImageData) -> ImageData:
    """200 digits."""
    return digits.subset(torch.arange(200))
