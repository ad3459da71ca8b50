"""Labels for unlabelled images, guessed from a few labelled ones."""

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

KEPT_SHARE = 0.95  # of the images of each guessed class
UPDATES = 6000

# Of the teacher.
POOL_BATCH = 150  # images of the pool in each update, besides 50 labelled ones
POOL_WEIGHT = 2.0  # of the loss on the pool
POOL_RAMP = 300  # updates until that weight is reached
SHARPENING = 2.0  # the power of the teacher's answers
ANSWER_MEMORY = 0.98  # of the running mean of the answers
WEIGHT_MEMORY = 0.998  # of the running mean of the weights

# Of the features.
FEATURES = 128
VIEWED_BATCH = 256  # images in each update, each viewed twice
TEMPERATURE = 0.3  # of the contrastive loss

# Of the graph of neighbours.
NEIGHBOURS = 10
SPREAD = 0.99  # how much of a label comes from the neighbours
SPREAD_ROUNDS = 60
BALANCE_ROUNDS = 30
SMOOTHING = 0.8  # how much of an answer comes from the neighbours
SMOOTHING_ROUNDS = 10


def label_pool(
    data: ImageData,
    *,
    by: str = "agreement",
    share: float = KEPT_SHARE,
    updates: int = UPDATES,
    seed: int = 0,
    device: str = "cpu",
) -> ImageData:
    """Give unlabelled images their most probable class; the doubtful ones stay unlabelled (-1).

    Labels and order of the images stay as they are. The classes should be about equally frequent.

    >>> data = load_data("folder")  # class/1.png, and 2.png without a label
    >>> labelled = label_pool(data, by="agreement")

    Args:
        data: a few labelled images of every class, and many with the label -1.
        by: "agreement", for images that keep their class when turned, moved and bent, such as
            digits and glyphs: a classifier whose answers must also hold for distorted images
            (`train_teacher`). "neighbours", for images that a distortion harms, such as garments:
            labels spread over the nearest neighbours among features learned without labels
            (`spread_labels`).
        share: how many of the images of each guessed class keep the guess, in (0, 1]: the most
            confident ones.
        updates: of the classifier, or of the features; 6,000 take 7 or 20 minutes on one core.
        seed: of everything random.
        device: "cpu" or "cuda".

    Raises:
        InputError: nothing to label, a class without a labelled image, too few images, or a value
            out of range.
    """
    _check(data, by, share, updates)
    check_device(device)
    classes = len(data.classes)
    is_known = data.labels >= 0
    order = is_known.long().argsort(descending=True, stable=True)  # those with a label come first
    images = to_float(data.images[order].to(device))
    known = data.labels[is_known].to(device)
    if by == "agreement":
        teacher = train_teacher(images, known, classes, updates, seed)
        probabilities = smoothed_answers(teacher, images)
    else:
        features = contrastive_features(images, updates, seed)
        probabilities = spread_labels(features, known, classes)
    rows, guesses = most_confident(probabilities, known, share)
    labels = torch.full_like(data.labels, -1)
    labels[order[rows]] = guesses
    labels = torch.where(is_known, data.labels, labels)
    return ImageData(data.name, data.images, labels, data.classes)


def most_confident(
    probabilities: Tensor, known: Tensor, share: float = KEPT_SHARE
) -> tuple[Tensor, Tensor]:
    """The most confident images of each class.

    Args:
        probabilities: [N, classes].
        known: labels of the first images, which are certain.
        share: how many of the images of each class are taken, in (0, 1].

    Returns:
        Their row numbers and their labels.
    """
    labels = probabilities.argmax(1).cpu()
    confidence = probabilities.amax(1).cpu()
    labels[: len(known)] = known.cpu()
    confidence[: len(known)] = 1.0
    taken = []
    for label in range(probabilities.shape[1]):
        rows = (labels == label).nonzero()[:, 0]
        by_confidence = rows[confidence[rows].argsort(descending=True)]
        taken.append(by_confidence[: round(share * len(rows))])
    chosen = torch.cat(taken)
    return chosen, labels[chosen]


def train_teacher(
    images: Tensor, labels: Tensor, classes: int, updates: int, seed: int
) -> nn.Module:
    """A `small_cnn` trained on labelled images and on its own answers to all images.

    The network with averaged weights (Tarvainen and Valpola, "Mean teachers", 2017), which is
    returned, answers weakly distorted images. These answers are corrected towards equal classes
    (Berthelot et al., "ReMixMatch", 2020) and sharpened (Xie et al., "UDA", 2020), and the network
    has to give them for strongly distorted images.

    Args:
        images: [N, C, H, W] in [0, 1], the labelled ones first.
        labels: of the first images.
        classes: number of classes.
        updates: of 50 labelled and 150 other images.
        seed: of everything random.
    """
    torch.manual_seed(seed)
    channels, height, width = images.shape[1:]
    model = small_cnn((channels, height, width), classes)
    model.to(images.device).to(memory_format=torch.channels_last)
    teacher = copy.deepcopy(model).eval()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    mean_answer = images.new_full((classes,), 1 / classes)
    for update in trange(updates, desc="teacher", leave=False, disable=None):
        rows = torch.randint(len(labels), (BATCH,))
        pool = images[torch.randint(len(images), (POOL_BATCH,))]
        guesses = predict(teacher, affine(pool)).softmax(1)
        mean_answer.lerp_(guesses.mean(0), 1 - ANSWER_MEMORY)
        target = _sharpened(guesses / mean_answer)
        strongly_distorted = torch.cat([affine_elastic(images[rows]), affine_elastic(pool)])
        answers = logits(model, strongly_distorted)
        labelled_loss = F.cross_entropy(answers[:BATCH], labels[rows])
        pool_loss = F.cross_entropy(answers[BATCH:], target)
        loss = labelled_loss + POOL_WEIGHT * min(1.0, update / POOL_RAMP) * pool_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        _average_weights(teacher, model, memory=min(WEIGHT_MEMORY, (1 + update) / (10 + update)))
    return teacher


def _sharpened(weights: Tensor) -> Tensor:
    """Probabilities [B, classes] in proportion to the weights, made more certain."""
    probabilities = F.normalize(weights, p=1, dim=1)
    return F.normalize(probabilities**SHARPENING, p=1, dim=1)


@torch.no_grad()
def _average_weights(teacher: nn.Module, model: nn.Module, memory: float) -> None:
    """Move the teacher's weights towards the model's."""
    for average, weight in zip(teacher.parameters(), model.parameters(), strict=True):
        average.lerp_(weight, 1 - memory)


def smoothed_answers(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's probabilities [N, classes], averaged over neighbours in its hidden layer."""
    all_but_last = nn.Sequential(*[*teacher.children()][:-1])
    hidden = predict(all_but_last, images)
    return smoothed(F.normalize(hidden, dim=1), predict(teacher, images).softmax(1))


def contrastive_features(images: Tensor, updates: int, seed: int) -> Tensor:
    """Features [N, 128] of images [N, C, H, W] that are alike for two views of one image.

    Chen et al., "A simple framework for contrastive learning of visual representations", 2020.
    """
    torch.manual_seed(seed)
    channels, height, width = images.shape[1:]
    encoder = _encoder((channels, height, width))
    encoder.to(images.device).to(memory_format=torch.channels_last)
    head = nn.Sequential(
        nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES // 2)
    )
    head.to(images.device)
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, 1e-3, weight_decay=1e-6, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in trange(updates, desc="contrastive", leave=False, disable=None):
        batch = images[torch.randint(len(images), (VIEWED_BATCH,))]
        views = torch.cat([crop_flip_light(batch), crop_flip_light(batch)])
        loss = contrastive_loss(head(logits(encoder, views)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()
    return F.normalize(predict(encoder, images) + predict(encoder, images.flip(3)), dim=1)


def contrastive_loss(answers: Tensor) -> Tensor:
    """The cross-entropy of finding each row's partner among all other rows.

    Args:
        answers: [2 B, D]; the partner of row i is row i + B.
    """
    directions = F.normalize(answers.float(), dim=1)
    similarity = directions @ directions.T / TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(answers), device=answers.device).roll(len(answers) // 2)
    return F.cross_entropy(similarity, partner)


def spread_labels(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Labels spread over the nearest neighbours, with all classes equally frequent.

    Zhou et al., "Learning with local and global consistency", 2003.

    Args:
        features: [N, D].
        labels: of the first images.
        classes: number of classes.

    Returns:
        Probabilities [N, classes].
    """
    graph = _neighbour_graph(features)
    start = np.zeros((len(features), classes))
    start[np.arange(len(labels)), labels.cpu().numpy()] = 1
    start /= start.sum(0)
    found = start
    for _ in range(SPREAD_ROUNDS):
        found = SPREAD * (graph @ found) + (1 - SPREAD) * start
    found = found + 1e-12
    for _ in range(BALANCE_ROUNDS):
        found = found / found.sum(0)
        found = found / found.sum(1, keepdims=True)
    return torch.from_numpy(found).float().to(features.device)


def smoothed(features: Tensor, probabilities: Tensor) -> Tensor:
    """Probabilities [N, classes] averaged with those of the neighbours by features [N, D]."""
    graph = _neighbour_graph(features)
    start = probabilities.double().cpu().numpy()
    degree = np.asarray(graph.sum(1))
    found = start
    for _ in range(SMOOTHING_ROUNDS):
        found = SMOOTHING * (graph @ found) / degree + (1 - SMOOTHING) * start
    return torch.from_numpy(found).float().to(features.device)


def _neighbour_graph(features: Tensor) -> scipy.sparse.csr_matrix:
    """The normalised graph of the 10 nearest neighbours.

    With local scaling: Zelnik-Manor and Perona, "Self-tuning spectral clustering", 2004.
    """
    points = features.cpu().numpy()
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(points)
    distance, index = neighbours.kneighbors()
    count = len(points)
    scale = distance[:, -1:]
    weight = np.exp(-(distance**2) / (scale * scale[index][:, :, 0] + 1e-9))
    places = (np.repeat(np.arange(count), NEIGHBOURS), index.ravel())
    graph = scipy.sparse.csr_matrix((weight.ravel(), places), (count, count))
    graph = graph.maximum(graph.T)
    degree = scipy.sparse.diags(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    return (degree @ graph @ degree).tocsr()


def _encoder(image_shape: tuple[int, int, int]) -> nn.Sequential:
    """Three convolutions and a linear layer, from [N, C, H, W] to features [N, 128]."""
    blocks: list[nn.Module] = []
    for inputs, outputs, kernel, after in (
        (image_shape[0], 32, 5, halving(image_shape)),
        (32, 64, 5, halving(image_shape)),
        (64, 128, 3, nn.Identity()),
    ):
        convolution = nn.Conv2d(inputs, outputs, kernel, padding="same")
        blocks += [convolution, after, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(
        *blocks,
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 128, FEATURES, bias=False),
        nn.BatchNorm1d(FEATURES),
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
