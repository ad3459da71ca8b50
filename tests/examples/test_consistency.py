"""The consistency loss: its value by hand, and where its gradient flows."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from examples.consistency import consistency_loss
from vae_augment import VAEAugment, VAEModel
from vae_augment.training import ImageData


def as_logits(images: Tensor) -> Tensor:
    """A classifier whose logits are the image's own pixels."""
    return images.flatten(1)


IMAGES = torch.tensor([[4.0, 0.0, 0.0], [1.0, 0.5, 0.0]]).reshape(2, 1, 1, 3)
VIEWS = torch.tensor([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0]]).reshape(2, 1, 1, 3)


def loss(threshold: float) -> float:
    return consistency_loss(as_logits, IMAGES, lambda _: VIEWS, threshold).item()


def test_it_is_equation_4_of_fixmatch() -> None:
    each = F.cross_entropy(as_logits(VIEWS), torch.tensor([0, 0]), reduction="none")
    assert loss(0.0) == pytest.approx(each.mean().item())
    assert loss(0.9) == pytest.approx(each[0].item() / 2)  # the second answer has 51 %
    assert loss(1.0) == 0


def test_the_gradient_flows_through_the_view_alone() -> None:
    images = IMAGES.clone().requires_grad_()
    views = VIEWS.clone().requires_grad_()
    consistency_loss(as_logits, images, lambda _: views, threshold=0.9).backward()
    assert images.grad is None
    assert views.grad is not None
    assert views.grad[0].abs().sum() > 0
    assert views.grad[1].abs().sum() == 0


def test_a_transform_is_a_view(tiny_model: VAEModel, digits: ImageData) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    view = VAEAugment(tiny_model, p=1.0)
    assert consistency_loss(model, digits.images[:20] / 255, view, threshold=0) > 0
