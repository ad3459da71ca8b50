"""A classifier of few labelled images and a pool: its averaged answers must hold for distorted images too."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from .classifier import BATCH, Batch, logits, small_cnn

Map = Callable[[Tensor], Tensor]
UNLABELLED = 150  # pool images in each update, beside 50 labelled ones
WEIGHT, RAMP = 2.0, 300  # of the pool's term, and the updates until it is reached
SHARPEN, MEMORY, AVERAGE = 2.0, 0.98, 0.998


def train_teacher(
    labelled: Batch, pool: Tensor, classes: int, *, weak: Map, strong: Map, updates: int, seed: int
) -> nn.Module:
    """`small_cnn` trained on labelled images and on its own answers to a pool.

    The weights averaged over the updates (Tarvainen and Valpola, "Mean teachers", 2017) answer the weakly distorted
    pool; the answers are aligned with equal classes (Berthelot et al., "ReMixMatch", 2020) and sharpened (Xie et al.,
    "Unsupervised data augmentation", 2020), and the network has to give them to the strongly distorted images.

    Args:
        labelled: images [N, C, H, W] in [0, 1] and labels [N].
        pool: images [M, C, H, W].
        classes: how many there are.
        weak, strong: distortions of a batch.
        updates: of 50 labelled and 150 pool images each.
        seed: of everything random.

    Returns:
        The averaged network, in evaluation mode.
    """
    torch.manual_seed(seed)
    model = small_cnn(tuple(pool.shape[1:]), classes)  # type: ignore[arg-type]
    model.to(pool.device).to(memory_format=torch.channels_last)
    teacher = copy.deepcopy(model).eval()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    usual = pool.new_full((classes,), 1 / classes)
    for update in trange(updates, desc="teacher", leave=False, disable=None):
        rows = torch.randint(len(labelled[0]), (BATCH,))
        images, labels = labelled[0][rows], labelled[1][rows]
        unlabelled = pool[torch.randint(len(pool), (UNLABELLED,))]
        target = _target(probabilities(teacher, weak(unlabelled)), usual)
        answers = logits(model, torch.cat([strong(images), strong(unlabelled)]))
        agreement = F.cross_entropy(answers[BATCH:], target)
        loss = F.cross_entropy(answers[:BATCH], labels) + WEIGHT * min(1.0, update / RAMP) * agreement
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        _follow(teacher, model, min(AVERAGE, (1 + update) / (10 + update)))
    return teacher


@torch.inference_mode()
def probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """The model's answers as probabilities [N, classes]."""
    return torch.cat([logits(model, part).softmax(1) for part in images.split(1000)])


@torch.inference_mode()
def hidden(model: nn.Module, images: Tensor) -> Tensor:
    """The activations before the last layer, of length 1: [N, 128]."""
    body = nn.Sequential(*[*model.children()][:-1])
    return torch.cat([F.normalize(logits(body, part), dim=1) for part in images.split(1000)])


def _target(answers: Tensor, usual: Tensor) -> Tensor:
    usual.lerp_(answers.mean(0), 1 - MEMORY)
    aligned = F.normalize(answers / usual, p=1, dim=1)
    return F.normalize(aligned**SHARPEN, p=1, dim=1)


@torch.no_grad()
def _follow(teacher: nn.Module, model: nn.Module, decay: float) -> None:
    for average, parameter in zip(teacher.parameters(), model.parameters(), strict=True):
        average.lerp_(parameter, 1 - decay)
