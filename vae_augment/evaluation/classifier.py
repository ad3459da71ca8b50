"""The small classifiers that comparisons train, always for the same number of updates."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..training.half_precision import half_precision

BATCH = 50
Batch = tuple[Tensor, Tensor]  # images [B, C, H, W] in [0, 1], and their labels [B]
Distort = Callable[[Tensor], Tensor]  # images [B, C, H, W] in [0, 1] -> the same, distorted
Network = Callable[[tuple[int, int, int], int], nn.Module]  # (C, H, W) and classes -> to logits


def identity(images: Tensor) -> Tensor:
    """The distortion that changes nothing."""
    return images


def small_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions (32 and 64 channels) with pooling, 128 hidden units, and dropout."""
    channels, height, width = image_shape
    quarter = math.ceil if is_tiny(image_shape) else math.floor
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        halving(image_shape),  # before the ReLU: the same result for a quarter of the cost
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, padding=2),
        halving(image_shape),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * quarter(height / 4) * quarter(width / 4), 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def strided_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions (32 and 64 channels) of stride 2, and 128 hidden units.

    After 800 updates with a learning rate of 2e-3 it is right about as often as `small_cnn` after
    1,500 with 1e-3, in a quarter of the time.
    """
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, 2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, 2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * math.ceil(height / 4) * math.ceil(width / 4), 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def halving(image_shape: tuple[int, int, int]) -> nn.MaxPool2d:
    """Pooling to half the sides; of tiny images rounded up, so that something is left of them."""
    return nn.MaxPool2d(2, ceil_mode=is_tiny(image_shape))


def is_tiny(image_shape: tuple[int, int, int]) -> bool:
    """Whether a side cannot be halved twice."""
    return min(image_shape[1:]) < 4


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    distort: Distort = identity,
    updates: int = 1500,
    seed: int = 0,
    network: Network = small_cnn,
    learning_rate: float = 1e-3,
) -> nn.Module:
    """Train a new classifier by Adam, and return it with its last weights, in evaluation mode.

    Args:
        images: [N, C, H, W] in [0, 1]; the classifier is on their device.
        labels: [N] int64 below `classes`.
        classes: number of classes.
        distort: the augmentation of each batch.
        updates: each of them takes 50 images at random.
        seed: of the first weights and of the order of the images.
        network: makes the classifier.
        learning_rate: of Adam at the start; it falls to 0 by a cosine.
    """
    torch.manual_seed(seed)
    channels, height, width = images.shape[1:]
    model = network((channels, height, width), classes)
    model.to(images.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    count = updates * BATCH
    passes = math.ceil(count / len(images))
    order = torch.cat([torch.randperm(len(images)) for _ in range(passes)])
    for rows in order[:count].split(BATCH):
        loss = F.cross_entropy(logits(model, distort(images[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The model's output in float32, from bfloat16 where the machine has matrix units for it."""
    dtype = half_precision(images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        found: Tensor = model(images.contiguous(memory_format=torch.channels_last))
    return found.float()


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """The logits [N, classes] of any number of images, in batches."""
    return torch.cat([logits(model, batch) for batch in images.split(1000)])


def is_correct(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether the most probable class of each image is its label, [N] bool."""
    return predict(model, images).argmax(1) == labels


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images whose most probable class is their label, in percent."""
    return 100 * float(is_correct(model, images, labels).double().mean())
