"""The consistency loss: its value by hand, its gradient, and that it teaches something."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_augment import VAEAugment, VAEModel
from vae_augment.errors import InputError
from vae_augment.training import ImageData, consistency_loss
from vae_augment.training.data.image_data import to_float


def as_logits(images: Tensor) -> Tensor:
    """A classifier whose logits are the image's own pixels."""
    return images.flatten(1)


IMAGES = torch.tensor([[4.0, 0.0, 0.0], [1.0, 0.5, 0.0]]).reshape(2, 1, 1, 3)
VIEWS = torch.tensor([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0]]).reshape(2, 1, 1, 3)


def loss(threshold: float, temperature: float) -> float:
    return consistency_loss(
        as_logits, IMAGES, lambda _: VIEWS, threshold=threshold, temperature=temperature
    ).item()


def test_hard_answers_are_equation_4_of_fixmatch() -> None:
    each = F.cross_entropy(as_logits(VIEWS), torch.tensor([0, 0]), reduction="none")
    assert loss(0.0, 0.0) == pytest.approx(each.mean().item())
    assert loss(0.9, 0.0) == pytest.approx(each[0].item() / 2)  # the second answer has 51 %
    assert loss(1.0, 0.0) == 0


def test_soft_answers_are_the_divergence_from_the_sharpened_one() -> None:
    target = (as_logits(IMAGES) / 0.5).softmax(1)
    each = (target * (target.log() - as_logits(VIEWS).log_softmax(1))).sum(1)
    assert loss(0.0, 0.5) == pytest.approx(each.mean().item())
    assert loss(0.9, 0.5) == pytest.approx(each[0].item() / 2)  # confident before it was sharpened


def test_a_view_that_changes_nothing_costs_nothing() -> None:
    assert (
        consistency_loss(as_logits, IMAGES, lambda x: x, threshold=0, temperature=1.0).abs() < 1e-6
    )


def test_the_gradient_flows_through_the_view_alone() -> None:
    images, views = IMAGES.clone().requires_grad_(), VIEWS.clone().requires_grad_()
    consistency_loss(as_logits, images, lambda _: views, threshold=0.9, temperature=1.0).backward()
    assert images.grad is None
    assert views.grad is not None
    assert views.grad[0].abs().sum() > 0
    assert views.grad[1].abs().sum() == 0


def test_half_precision_and_no_confident_image_stay_finite() -> None:
    views = VIEWS.bfloat16().requires_grad_()
    found = consistency_loss(as_logits, IMAGES.bfloat16(), lambda _: views, threshold=1.0)
    found.backward()
    assert (found.item(), found.dtype) == (0, torch.float32)
    assert views.grad is not None
    assert views.grad.isfinite().all()


@pytest.mark.parametrize(
    ("images", "threshold", "temperature", "message"),
    [
        (IMAGES[:0], 0.9, 0.0, "There are no images"),
        (IMAGES, 95.0, 0.0, "threshold is 95.0"),
        (IMAGES, math.nan, 0.0, "threshold is nan"),
        (IMAGES, 0.9, -1.0, "temperature is -1.0"),
        (IMAGES, 0.9, math.inf, "temperature is inf"),
        (IMAGES[:1], 0.9, 0.0, "made 2 images of 1"),
    ],
)
def test_what_cannot_be_used(
    images: Tensor, threshold: float, temperature: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        consistency_loss(
            as_logits, images, lambda _: VIEWS, threshold=threshold, temperature=temperature
        )


def test_a_transform_is_a_view(tiny_model: VAEModel, digits: ImageData) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images = to_float(digits.images[:20])
    assert consistency_loss(model, images, VAEAugment(tiny_model, p=1.0), threshold=0) > 0


def shifted(images: Tensor) -> Tensor:
    return images.roll(1, dims=3)


def test_it_makes_answers_agree(digits: ImageData) -> None:
    images, labels = to_float(digits.images), digits.labels
    disagreements = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(100):
            total = F.cross_entropy(model(images[:50]), labels[:50])
            if weight:
                pool = images[torch.randint(50, len(images), (64,))]
                total = total + weight * consistency_loss(model, pool, shifted, threshold=0.6)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        changed = model(shifted(images[50:])).argmax(1) != model(images[50:]).argmax(1)
        disagreements.append(changed.float().mean().item())
    assert disagreements[1] < 0.8 * disagreements[0]
