"""Real images through real loaders into a real training loop, and a model that the project never saw."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets
from torchvision.transforms import v2

from tests.helpers import DATA, needs_mnist
from vae_augment import MixedDataset, VAEAugment, VAESyntheticDataset, load

pytestmark = pytest.mark.timeout(120)


def train(
    loader: "DataLoader[tuple[torch.Tensor, torch.Tensor]]", pixels: int, batches: int = 8
) -> list[float]:
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if len(losses) == batches:
            break
    return losses


def to_model_input(augment: VAEAugment) -> v2.Compose:
    return v2.Compose(
        [v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.13], [0.31])]
    )


@needs_mnist
def test_transform_on_mnist_with_two_workers() -> None:
    data = datasets.MNIST(DATA, transform=to_model_input(VAEAugment("mnist")))
    losses = train(
        DataLoader(Subset(data, range(1024)), batch_size=128, shuffle=True, num_workers=2), 784
    )
    assert losses[-1] < 0.8 * losses[0]


def test_synthetic_mnist_with_two_workers() -> None:
    data = VAESyntheticDataset("mnist", 10_000)
    losses = train(DataLoader(data, batch_size=128, num_workers=2), 784)
    assert losses[-1] < 0.8 * losses[0]


@needs_mnist
def test_real_and_synthetic_mnist_with_two_workers() -> None:
    to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    real = Subset(datasets.MNIST(DATA, transform=to_float), range(600))
    mixed = MixedDataset(real, VAESyntheticDataset("mnist", 600), synthetic_fraction=0.5)
    assert len(mixed) == 1200
    losses = train(DataLoader(mixed, batch_size=128, num_workers=2), 784)
    assert losses[-1] < 0.8 * losses[0]


def test_a_model_the_project_never_saw(tiny_model_path: Path) -> None:
    model = load(tiny_model_path)
    images, labels = model.sample(20, seed=1)
    assert labels is not None
    assert labels.bincount().tolist() == [2] * 10
    augmented = VAEAugment(model, p=1.0)(images)
    assert augmented.shape == (20, 1, 8, 8)
    assert not torch.equal(augmented, images)
    assert model.anomaly_score(images).mean() < model.anomaly_score(torch.rand(20, 1, 8, 8)).mean()
    loader = DataLoader(VAESyntheticDataset(model, 640), batch_size=64, num_workers=2)
    losses = train(loader, 64)
    assert losses[-1] < losses[0]
