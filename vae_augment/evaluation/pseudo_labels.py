"""Labels for unlabelled images, guessed from a few labelled ones, so that a pool can train a conditional VAE."""

import copy

import numpy as np
import scipy.sparse
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from ..errors import InputError
from ..training import ImageData
from ..training.data.image_data import to_float
from ..training.half_precision import check_device
from ..transforms.distortions import affine, affine_elastic, crop_flip_light
from .classifier import BATCH, halving, logits, predict, small_cnn

SURE = 0.95  # share of the images of each guessed class that keeps its guess
UPDATES = 6000

# Of the teacher.
UNLABELLED = 150  # images of the pool in each update, besides 50 labelled ones
WEIGHT, RAMP = 2.0, 300  # of the loss on the pool, and the updates until it is reached
SHARPEN, MEMORY, AVERAGE = 2.0, 0.98, 0.998

# Of the features, and of the labels that spread over them.
VIEWED, TEMPERATURE, WIDTH = (
    256,
    0.3,
    128,
)  # images in each update, of the loss, and size of the features
NEIGHBOURS, SPREAD, ROUNDS = 10, 0.99, 60


def label_pool(
    data: ImageData,
    *,
    by: str = "agreement",
    share: float = SURE,
    updates: int = UPDATES,
    seed: int = 0,
    device: str = "cpu",
) -> ImageData:
    """Give unlabelled images their most probable class, and leave the doubtful ones unlabelled (-1).

    Labels and order of the images stay as they are. The classes should be about equally frequent.

    >>> labelled = label_pool(load_data("folder"), by="agreement")  # folder/class/1.png, and folder/2.png without label

    Args: data: a few labelled images of every class, and many with the label -1. by: "agreement",
        for images that keep their class when turned, moved and bent, such as digits and glyphs: a
            classifier whose answers must also hold for distorted images (`train_teacher`).
            "neighbours", for images that a distortion harms, such as garments: labels spread over
            the nearest neighbours among features learned without labels (`spread_labels`).
        share: of the images of each guessed class, the share that keeps the guess, in (0, 1]: the
            most_confident ones.
        updates: of the classifier, or of the features; 6,000 take 7 or 20 minutes on one core.
        seed: of everything random.
        device: "cpu" or "cuda".

    Raises: InputError: nothing to label, a class without a labelled image, too few images, or a
        value out of range.
    """
    _check(data, by, share, updates)
    check_device(device)
    is_known = data.labels >= 0
    order = is_known.long().argsort(descending=True, stable=True)  # those with a label come first
    images = to_float(data.images[order].to(device))
    known = data.labels[is_known].to(device)
    if by == "agreement":
        answers = smoothed_answers(
            train_teacher(images, known, len(data.classes), updates, seed), images
        )
    else:
        answers = spread_labels(
            contrastive_features(images, updates, seed), known, len(data.classes)
        )
    rows, labels = most_confident(answers, known, share)
    found = torch.full_like(data.labels, -1)
    found[order[rows]] = labels
    return ImageData(
        data.name, data.images, torch.where(is_known, data.labels, found), data.classes
    )


def most_confident(answers: Tensor, known: Tensor, share: float = SURE) -> tuple[Tensor, Tensor]:
    """Row numbers and labels of the most_confident of each class by answers [N, classes].

    The first have the labels `known`.
    """
    labels = answers.argmax(1).cpu()
    probability = answers.amax(1).cpu()
    labels[: len(known)] = known.cpu()
    probability[: len(known)] = 1.0
    groups = [(labels == index).nonzero()[:, 0] for index in range(answers.shape[1])]
    orders = [group[probability[group].argsort(descending=True)] for group in groups]
    rows = torch.cat([order[: round(share * len(order))] for order in orders])
    return rows, labels[rows]


def train_teacher(
    images: Tensor, labels: Tensor, classes: int, updates: int, seed: int
) -> nn.Module:
    """`small_cnn` trained on labelled images and on its own answers to all images.

    The averaged network (Tarvainen and Valpola, "Mean teachers", 2017), which is returned, answers
    weakly distorted images [N, C, H, W]. These answers are corrected towards equal classes
    (Berthelot et al., "ReMixMatch", 2020) and sharpened (Xie et al., "UDA", 2020), and the network
    has to give them for strongly distorted images.
    """
    torch.manual_seed(seed)
    model = small_cnn(tuple(images.shape[1:]), classes)  # type: ignore[arg-type]
    model.to(images.device).to(memory_format=torch.channels_last)
    teacher = copy.deepcopy(model).eval()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    usual = images.new_full((classes,), 1 / classes)  # running mean of the answers
    for update in trange(updates, desc="teacher", leave=False, disable=None):
        rows = torch.randint(len(labels), (BATCH,))
        unlabelled = images[torch.randint(len(images), (UNLABELLED,))]
        guesses = predict(teacher, affine(unlabelled)).softmax(1)
        usual.lerp_(guesses.mean(0), 1 - MEMORY)
        target = F.normalize(F.normalize(guesses / usual, p=1, dim=1) ** SHARPEN, p=1, dim=1)
        answers = logits(
            model, torch.cat([affine_elastic(images[rows]), affine_elastic(unlabelled)])
        )
        agreement = F.cross_entropy(answers[BATCH:], target)
        loss = (
            F.cross_entropy(answers[:BATCH], labels[rows])
            + WEIGHT * min(1.0, update / RAMP) * agreement
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            decay = min(AVERAGE, (1 + update) / (10 + update))
            for average, parameter in zip(teacher.parameters(), model.parameters(), strict=True):
                average.lerp_(parameter, 1 - decay)
    return teacher


def smoothed_answers(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's probabilities [N, classes], averaged over neighbours among its last hidden activations."""
    hidden = predict(nn.Sequential(*[*teacher.children()][:-1]), images)
    return smoothed(F.normalize(hidden, dim=1), predict(teacher, images).softmax(1))


def contrastive_features(images: Tensor, updates: int, seed: int) -> Tensor:
    """Features [N, 128] of images [N, C, H, W], similar for views of one image (Chen et al., "SimCLR", 2020)."""
    torch.manual_seed(seed)
    channels, height, width = images.shape[1:]
    encoder = _encoder((channels, height, width))
    encoder.to(images.device).to(memory_format=torch.channels_last)
    head = nn.Sequential(
        nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH // 2)
    ).to(images.device)
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *head.parameters()], 1e-3, weight_decay=1e-6, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in trange(updates, desc="contrastive", leave=False, disable=None):
        batch = images[torch.randint(len(images), (VIEWED,))]
        loss = contrastive_loss(
            head(logits(encoder, torch.cat([crop_flip_light(batch), crop_flip_light(batch)])))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()
    return F.normalize(predict(encoder, images) + predict(encoder, images.flip(3)), dim=1)


def contrastive_loss(answers: Tensor) -> Tensor:
    """The cross-entropy of finding the partner of each of [2 B, D], which is the row B rows away, among all others."""
    directions = F.normalize(answers.float(), dim=1)
    similarity = directions @ directions.T / TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    return F.cross_entropy(
        similarity, torch.arange(len(answers), device=answers.device).roll(len(answers) // 2)
    )


def spread_labels(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Probabilities [N, classes] of images with features [N, D], from the `labels` of the first; classes are balanced.

    By Zhou et al., "Learning with local and global consistency" (2003), over the nearest
    neighbours.
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
    """The graph of the 10 nearest neighbours with the local scaling of Zelnik-Manor and Perona (2004), normalised."""
    points = features.cpu().numpy()
    distance, index = (
        NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(points).kneighbors()
    )
    count = len(points)
    scale = distance[:, -1:]
    weight = np.exp(-(distance**2) / (scale * scale[index][:, :, 0] + 1e-9))
    places = (np.repeat(np.arange(count), NEIGHBOURS), index.ravel())
    graph = scipy.sparse.csr_matrix((weight.ravel(), places), (count, count))
    graph = graph.maximum(graph.T)
    degree = scipy.sparse.diags(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    return (degree @ graph @ degree).tocsr()


def _encoder(image_shape: tuple[int, int, int]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for inputs, outputs, kernel, after in (
        (image_shape[0], 32, 5, halving(image_shape)),
        (32, 64, 5, halving(image_shape)),
        (64, 128, 3, nn.Identity()),
    ):
        blocks += [
            nn.Conv2d(inputs, outputs, kernel, padding="same"),
            after,
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(
        *blocks,
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(512, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH),
    )


def _check(data: ImageData, by: str, share: float, updates: int) -> None:
    if by not in ("agreement", "neighbours"):
        raise InputError(f"by is {by!r}; choose one of agreement, neighbours.")
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; it must be above 0 and at most 1.")
    if updates < 1:
        raise InputError(f"updates is {updates}; it must be at least 1.")
    if not (data.labels < 0).any():
        raise InputError(
            f"All {len(data)} images of {data.name} have a label, so that there is none to guess. "
            "Put images without one beside the class folders, or give them the label -1 in an "
            ".npz."
        )
    if len(data) <= NEIGHBOURS:
        raise InputError(
            f"{data.name} has {len(data)} images. Each is compared with the {NEIGHBOURS} nearest "
            "others: give more."
        )
    if len(data.classes) < 2:
        raise InputError(
            f"{data.name} has {len(data.classes)} classes with labelled images; at least two are "
            "needed."
        )
    counts = data.labels[data.labels >= 0].bincount(minlength=len(data.classes))
    if not counts.all():
        missing = data.classes[int(counts.argmin())]
        raise InputError(
            f"No image of {data.name} is labelled {missing!r}. Label at least one image of each "
            "class."
        )
