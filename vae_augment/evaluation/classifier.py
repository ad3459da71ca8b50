"""The small classifier that every comparison trains, always for the same number of updates."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..training.half_precision import half_precision

BATCH = 50
Batch = tuple[Tensor, Tensor]
View = Callable[[Tensor, Tensor], Batch]  # images [B, C, H, W] in [0, 1] and labels [B] -> the batch to train on
Metric = Callable[[nn.Module, Tensor, Tensor], float]  # a classifier, images and labels -> percent


def unchanged(images: Tensor, labels: Tensor) -> Batch:
    """The view that changes nothing."""
    return images, labels


def small_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two convolutions of 5x5 (32 and 64 channels) with pooling, a hidden layer of 128, dropout."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        nn.MaxPool2d(2),  # before the ReLU, which changes nothing and costs a quarter
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    view: View = unchanged,
    updates: int = 1500,
    seed: int = 0,
) -> nn.Module:
    """Train `small_cnn` by Adam (1e-3, cosine) for `updates` batches of 50 and return its last iterate.

    In bfloat16 where the machine has matrix units for it (twice as fast there), in float32 elsewhere.

    Args:
        images, labels: [N, C, H, W] float in [0, 1] and [N].
        view: what is done to each batch, such as augmentation.
        seed: of the weights, the batches and torch's global generator, which the view draws from.
    """
    torch.manual_seed(seed)
    model = small_cnn(tuple(images.shape[1:]), classes)  # type: ignore[arg-type]
    model.to(images.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    order = _endless_order(len(images), updates)
    for rows in order.split(BATCH):
        batch, target = view(images[rows], labels[rows])
        loss = F.cross_entropy(logits(model, batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The model's answers [B, classes] in float32, computed in half precision where that is faster."""
    dtype = half_precision(images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        found: Tensor = model(images.contiguous(memory_format=torch.channels_last))
    return found.float()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of right answers, in percent."""
    return 100 * float((answers(model, images) == labels).double().mean())


def balanced_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The mean over the classes of the share of right answers, in percent: rare classes count as much as others."""
    right = (answers(model, images) == labels).double()
    return 100 * float(torch.stack([right[labels == label].mean() for label in labels.unique()]).mean())


@torch.inference_mode()
def answers(model: nn.Module, images: Tensor) -> Tensor:
    """The class that the model gives each of the images, [N]."""
    return torch.cat([logits(model, batch).argmax(1) for batch in images.split(1000)])


def _endless_order(count: int, updates: int) -> Tensor:
    wanted = updates * BATCH
    return torch.cat([torch.randperm(count) for _ in range(-(-wanted // count))])[:wanted]
