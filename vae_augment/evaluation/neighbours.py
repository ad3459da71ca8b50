"""Features that are learned without labels, and labels that spread over the nearest neighbours among features."""

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from .classifier import logits
from .distortions import crop_flip_light

BATCH, TEMPERATURE, WIDTH = 256, 0.3, 128
NEIGHBOURS, SPREAD, ROUNDS = 10, 0.99, 60


def contrastive_features(images: Tensor, updates: int, seed: int) -> Tensor:
    """Features [N, 128] of length 1 for images [N, C, H, W]: similar for two views of an image, else different.

    Chen et al., "A simple framework for contrastive learning of visual representations" (2020), equation 1, in
    `updates` batches of 256 images.
    """
    torch.manual_seed(seed)
    encoder = _encoder(images.shape[1]).to(images.device).to(memory_format=torch.channels_last)
    head = nn.Sequential(nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH // 2)).to(images.device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-3, weight_decay=1e-6, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in trange(updates, desc="contrastive", leave=False, disable=None):
        batch = images[torch.randint(len(images), (BATCH,))]
        loss = contrastive_loss(head(logits(encoder, torch.cat([crop_flip_light(batch), crop_flip_light(batch)]))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()
    with torch.no_grad():
        found = [logits(encoder, part) + logits(encoder, part.flip(3)) for part in images.split(1000)]
    return F.normalize(torch.cat(found), dim=1)


def contrastive_loss(answers: Tensor) -> Tensor:
    """The cross-entropy of finding the partner of each of [2 B, D], which is the row B rows away, among all others."""
    directions = F.normalize(answers.float(), dim=1)
    similarity = directions @ directions.T / TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(answers), device=answers.device).roll(len(answers) // 2))


def spread_labels(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Probabilities [N, classes] for images with features [N, D], from the `labels` of the first of them.

    Zhou et al., "Learning with local and global consistency" (2003), over the graph of the 10 nearest neighbours with
    the local scaling of Zelnik-Manor and Perona (2004), then balanced, so that all classes get the same total.
    """
    graph = _neighbour_graph(features)
    start = np.zeros((len(features), classes))
    start[np.arange(len(labels)), labels.cpu().numpy()] = 1
    start /= start.sum(0)
    found = start
    for _ in range(ROUNDS):
        found = SPREAD * (graph @ found) + (1 - SPREAD) * start
    found = found + 1e-12
    for _ in range(30):
        found = found / found.sum(0)
        found = found / found.sum(1, keepdims=True)
    return torch.from_numpy(found).float().to(features.device)


def smoothed(features: Tensor, probabilities: Tensor) -> Tensor:
    """Probabilities [N, classes] averaged ten times with those of the neighbours among the features [N, D]."""
    graph = _neighbour_graph(features)
    start = probabilities.double().cpu().numpy()
    degree = np.asarray(graph.sum(1))
    found = start
    for _ in range(10):
        found = 0.8 * (graph @ found) / degree + 0.2 * start
    return torch.from_numpy(found).float().to(features.device)


def _neighbour_graph(features: Tensor) -> scipy.sparse.csr_matrix:
    points: NDArray[np.float32] = features.cpu().numpy()
    distance, index = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(points).kneighbors()
    count, scale = len(points), distance[:, -1:]
    weight = np.exp(-(distance**2) / (scale * scale[index][:, :, 0] + 1e-9))
    places = (np.repeat(np.arange(count), NEIGHBOURS), index.ravel())
    graph = scipy.sparse.csr_matrix((weight.ravel(), places), (count, count))
    graph = graph.maximum(graph.T)
    degree = scipy.sparse.diags(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    return (degree @ graph @ degree).tocsr()


def _encoder(channels: int) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for inputs, outputs, kernel, after in (
        (channels, 32, 5, nn.MaxPool2d(2)),
        (32, 64, 5, nn.MaxPool2d(2)),
        (64, 128, 3, nn.Identity()),
    ):
        blocks += [nn.Conv2d(inputs, outputs, kernel, padding="same"), after, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(
        *blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, WIDTH, bias=False), nn.BatchNorm1d(WIDTH)
    )
