"""The part of `throughput.py` that reads datasets, alone and through a DataLoader."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from alternatives import Network
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset, default_collate
from torchvision import datasets
from torchvision.transforms import v2

from vae_augment import VAEAugment, VAEModel, VAESyntheticDataset, load

BATCH = 256


def exhaust(iterable: Iterable[Any]) -> None:
    for _ in iterable:
        pass


def dataset(model: VAEModel, count: int) -> VAESyntheticDataset:
    return VAESyntheticDataset(model, count)


class ByItem(Dataset[Any]):
    """A dataset without its batched fetching."""

    def __init__(self, data: VAESyntheticDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]


def measure(bench: Any, network: Network, threads: int, count: int) -> None:
    data = dataset(load(network.path, provider="cpu", threads=threads), count)
    torch.testing.assert_close(
        torch.stack([data[i][0] for i in range(8)]), next(data.batches(8))[0], atol=1e-5, rtol=0
    )
    one_by_one = ByItem(data)
    runs: dict[str, Callable[[], None]] = {
        "__getitems__(256)": lambda: exhaust(
            data.__getitems__(range(first, first + BATCH)) for first in range(0, count, BATCH)
        ),
        "by item": lambda: exhaust(data[i] for i in range(count)),
        "loader, 0 workers": lambda: exhaust(DataLoader(data, BATCH)),
        "loader, 0 workers, by item": lambda: exhaust(DataLoader(one_by_one, BATCH)),
    }
    bench.compare("dataset", runs, count)


def through_workers(bench: Any, network: Network, count: int) -> None:
    """Workers stay between the epochs, so that what is timed is their work, not their start."""
    data = dataset(load(network.path, provider="cpu"), count)
    kept = {
        workers: DataLoader(data, BATCH, num_workers=workers, persistent_workers=True)
        for workers in (1, 2)
    }
    runs = {
        f"loader, {workers} workers": lambda loader=loader: exhaust(loader)
        for workers, loader in kept.items()
    }
    bench.compare("dataset through workers", runs, count)


def epoch(bench: Any, root: str, count: int) -> None:
    """An epoch of a small CNN on MNIST, by the augmentation that stands in the loader."""
    vae = VAEAugment(load("mnist", provider="cpu"), p=1.0, residual=False)
    affine = v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1))
    loaders = {
        "VAEAugment": by_two_workers(mnist_items(root, count, vae)),
        "VAEAugment on whole batches": by_two_workers(
            mnist_items(root, count, v2.Identity()), OnBatches(vae)
        ),
        "v2.RandomAffine": by_two_workers(mnist_items(root, count, affine)),
    }
    runs = {name: lambda loader=loader: train(loader) for name, loader in loaders.items()}
    bench.compare("epoch of a small CNN", runs, count)


class OnBatches:
    """A collate function that augments the whole batch at once, still in the worker."""

    def __init__(self, augment: v2.Transform) -> None:
        self.augment = augment

    def __call__(self, items: list[Any]) -> Any:
        images, labels = default_collate(items)
        return self.augment(images), labels


def mnist_items(root: str, count: int, augment: v2.Transform) -> Dataset[Any]:
    transform = v2.Compose([v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True)])
    return Subset(datasets.MNIST(root, transform=transform), range(count))


def by_two_workers(
    data: Dataset[Any], collate: Callable[..., Any] = default_collate
) -> DataLoader[Any]:
    return DataLoader(
        data, 128, shuffle=True, num_workers=2, persistent_workers=True, collate_fn=collate
    )


def train(loader: Iterable[tuple[Tensor, Tensor]]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 6 * 6, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters())
    for image, label in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(image), label).backward()
        optimizer.step()
