"""The small classifier that every comparison trains, always for the same number of updates."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..training.half_precision import half_precision

BATCH = 50
Batch = tuple[Tensor, Tensor]
Distort = Callable[[Tensor], Tensor]  # images [B, C, H, W] in [0, 1] -> the same, distorted
Metric = Callable[[Tensor, Tensor], float]  # which answers are correct, and the labels -> percent


def identity(images: Tensor) -> Tensor:
    """The distortion that changes nothing."""
    return images


def small_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions (32 and 64 channels) with pooling, a hidden layer of 128 units, and dropout."""
    channels, height, width = image_shape
    is_tiny = min(height, width) < 4  # of which rounding down would leave nothing
    quarter = math.ceil if is_tiny else math.floor
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        nn.MaxPool2d(
            2, ceil_mode=is_tiny
        ),  # before the ReLU: the same result for a quarter of the cost
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.MaxPool2d(2, ceil_mode=is_tiny),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * quarter(height / 4) * quarter(width / 4), 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    distort: Distort = identity,
    updates: int = 1500,
    seed: int = 0,
) -> nn.Module:
    """Train a new `small_cnn` as `train` does, with weights by the seed too."""
    torch.manual_seed(seed)
    return train(small_cnn(tuple(images.shape[1:]), classes), images, labels, distort, updates)  # type: ignore[arg-type]


def train(
    model: nn.Module, images: Tensor, labels: Tensor, distort: Distort, updates: int
) -> nn.Module:
    """Train by Adam for `updates` random batches of 50; return the model with its last weights."""
    model.to(images.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    count = updates * BATCH
    order = torch.cat([torch.randperm(len(images)) for _ in range(math.ceil(count / len(images)))])
    for rows in order[:count].split(BATCH):
        loss = F.cross_entropy(logits(model, distort(images[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The model's output in float32, computed in bfloat16 where the machine has matrix units for it."""
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


def percent_correct(correct: Tensor, labels: Tensor) -> float:
    """The share of correct answers, in percent: the usual `Metric`."""
    return 100 * float(correct.double().mean())


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images whose most probable class is their label, in percent."""
    return percent_correct(is_correct(model, images, labels), labels)
