"""Labels for unlabelled images, guessed from a few labelled ones, so that a pool can train a conditional VAE."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from ..errors import InputError
from ..training import ImageData
from ..training.data import to_float
from .classifier import BATCH, check_device, logits, small_cnn
from .distortions import affine, affine_elastic
from .neighbours import NEIGHBOURS, contrastive_features, smoothed, spread_labels

SURE = 0.95  # share of the images of each guessed class that keeps its guess
UPDATES = 6000
WAYS = ("agreement", "neighbours")

# Of the teacher.
UNLABELLED = 150  # images of the pool in each update, besides 50 labelled ones
WEIGHT, RAMP = 2.0, 300  # of the loss on the pool, and the updates until it is reached
SHARPEN, MEMORY, AVERAGE = 2.0, 0.98, 0.998


def label_pool(
    data: ImageData,
    *,
    by: str = "agreement",
    share: float = SURE,
    updates: int = UPDATES,
    seed: int = 0,
    device: str = "cpu",
) -> ImageData:
    """Give unlabelled images their most probable class, and leave the doubtful ones unlabelled.

    Both ways assume that the classes are about equally frequent. Labels that are there stay as they are.

    >>> labelled = label_pool(load_data("folder"), by="agreement")  # folder/class/1.png, and folder/2.png without label

    Args:
        data: a few labelled images of every class, and many with the label -1.
        by: "agreement", for images that keep their class when turned, moved and bent, such as digits and glyphs: a
            classifier whose answers must also hold for distorted images (`train_teacher`).
            "neighbours", for images that a distortion harms, such as garments: labels spread over the nearest
            neighbours among features learned without labels (`neighbours.spread_labels`).
        share: of the images of each guessed class, the share that keeps the guess, in (0, 1]: the surest ones.
        updates: of the classifier, or of the features; 6,000 take 7 or 20 minutes on one core.
        seed: of everything random.
        device: "cpu" or "cuda".

    Returns:
        The same images in the same order, with labels [N] of which the doubtful are -1.

    Raises:
        InputError: nothing to label, a class without a labelled image, too few images, or a value out of range.
    """
    _check(data, by, share, updates)
    check_device(device)
    is_known = data.labels >= 0
    order = torch.cat([is_known.nonzero()[:, 0], (~is_known).nonzero()[:, 0]])
    images, known = to_float(data.images[order].to(device)), data.labels[is_known].to(device)
    if by == "agreement":
        answers = smoothed_answers(train_teacher(images, known, len(data.classes), updates, seed), images)
    else:
        answers = spread_labels(contrastive_features(images, updates, seed), known, len(data.classes))
    rows, labels = surest(answers, known, share)
    found = torch.full_like(data.labels, -1)
    found[order[rows]] = labels
    return ImageData(data.name, data.images, torch.where(is_known, data.labels, found), data.classes)


def surest(answers: Tensor, known: Tensor, share: float = SURE) -> tuple[Tensor, Tensor]:
    """The surest images of each class by the answers [N, classes]: their row numbers and labels, on the CPU.

    The first images have the labels `known`, which are certain.
    """
    labels, probability = answers.argmax(1).cpu(), answers.amax(1).cpu()
    labels[: len(known)], probability[: len(known)] = known.cpu(), 1.0
    groups = [(labels == index).nonzero()[:, 0] for index in range(answers.shape[1])]
    orders = [group[probability[group].argsort(descending=True)] for group in groups]
    rows = torch.cat([order[: round(share * len(order))] for order in orders])
    return rows, labels[rows]


def train_teacher(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> nn.Module:
    """`small_cnn` trained on labelled images and on its own answers to all images.

    The weights averaged over the updates (Tarvainen and Valpola, "Mean teachers", 2017) answer weakly distorted images
    (`affine`). These answers are corrected towards equal classes (Berthelot et al., "ReMixMatch", 2020) and sharpened
    (Xie et al., "Unsupervised data augmentation", 2020), and the network has to give them for strongly distorted
    images (`affine_elastic`).

    Args:
        images, labels: [N, C, H, W] float in [0, 1], and the labels of the first of them.
        updates: of 50 labelled images and 150 of all images each.

    Returns:
        The averaged network, in evaluation mode.
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
        guesses = probabilities(teacher, affine(unlabelled))
        usual.lerp_(guesses.mean(0), 1 - MEMORY)
        target = F.normalize(F.normalize(guesses / usual, p=1, dim=1) ** SHARPEN, p=1, dim=1)
        answers = logits(model, torch.cat([affine_elastic(images[rows]), affine_elastic(unlabelled)]))
        agreement = F.cross_entropy(answers[BATCH:], target)
        loss = F.cross_entropy(answers[:BATCH], labels[rows]) + WEIGHT * min(1.0, update / RAMP) * agreement
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            decay = min(AVERAGE, (1 + update) / (10 + update))
            for average, parameter in zip(teacher.parameters(), model.parameters(), strict=True):
                average.lerp_(parameter, 1 - decay)
    return teacher


@torch.inference_mode()
def probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """The model's answers as probabilities [N, classes]."""
    return torch.cat([logits(model, part).softmax(1) for part in images.split(1000)])


@torch.inference_mode()
def smoothed_answers(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's probabilities [N, classes], averaged over neighbours among its last hidden activations."""
    body = nn.Sequential(*[*teacher.children()][:-1])
    hidden = torch.cat([F.normalize(logits(body, part), dim=1) for part in images.split(1000)])
    return smoothed(hidden, probabilities(teacher, images))


def _check(data: ImageData, by: str, share: float, updates: int) -> None:
    if by not in WAYS:
        raise InputError(f"by is {by!r}; choose one of {', '.join(WAYS)}.")
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; it must be above 0 and at most 1.")
    if updates < 1:
        raise InputError(f"updates is {updates}; it must be at least 1.")
    if not (data.labels < 0).any():
        raise InputError(
            f"All {len(data)} images of {data.name} have a label, so that there is none to guess. Put images "
            "without one beside the class folders, or give them the label -1 in an .npz."
        )
    if len(data) <= NEIGHBOURS:
        raise InputError(
            f"{data.name} has {len(data)} images. Each is compared with the {NEIGHBOURS} nearest others: give more."
        )
    if len(data.classes) < 2:
        raise InputError(f"{data.name} has {len(data.classes)} classes with labelled images; at least two are needed.")
    counts = data.labels[data.labels >= 0].bincount(minlength=len(data.classes))
    if not counts.all():
        missing = data.classes[int(counts.argmin())]
        raise InputError(f"No image of {data.name} is labelled {missing!r}. Label at least one image of each class.")
