"""Labels for the unlabelled images of a set, from the few that have one, so that a pool can train a conditional VAE.

Kingma et al., "Semi-supervised learning with deep generative models" (2014), let the VAE guess the labels itself; a
classifier that is trained for it guesses better, and leaving out the doubtful images helps the generator.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..training import ImageData
from ..training.data import to_float
from .distortions import affine, affine_elastic
from .neighbours import NEIGHBOURS, contrastive_features, smoothed, spread_labels
from .teacher import hidden, probabilities, train_teacher

SURE = 0.95  # of the images that get a class, the share that is trained on
UPDATES = 6000
Guess = Callable[[Tensor, Tensor, int, int, int], Tensor]


def label_pool(
    data: ImageData,
    *,
    by: str = "agreement",
    share: float = SURE,
    updates: int = UPDATES,
    seed: int = 0,
    device: str = "cpu",
) -> ImageData:
    """Give unlabelled images the class that they most probably have, and leave the doubtful ones without.

    Both ways take the classes to be about equally frequent. The labels that are there stay as they are.

    >>> labelled = label_pool(load_data("folder"), by="agreement")  # folder/class/1.png, and folder/2.png without label

    Args:
        data: a few labelled images of every class, and many with the label -1.
        by: "agreement", for what keeps its class when it is turned, moved and bent, such as digits and glyphs: a
            classifier whose averaged answers must hold for distorted images too (`teacher.train_teacher`).
            "neighbours", for what a distortion harms, such as garments: the labels spread over the nearest neighbours
            among features learned without labels (`neighbours.spread_labels`).
        share: of the images that get a class, the share that keeps it, in (0, 1]: of each class the surest.
        updates: of the classifier, or of the features; 6,000 take 7 or 20 minutes on one core.
        seed: of everything random.
        device: "cpu" or "cuda".

    Returns:
        The same images in the same order, with labels [N] of which the doubtful are -1.

    Raises:
        InputError: nothing to label, a class without a labelled image, too few images, or a value out of range.
    """
    _check(data, by, share, updates)
    is_known = data.labels >= 0
    order = torch.cat([is_known.nonzero()[:, 0], (~is_known).nonzero()[:, 0]])
    images, known = to_float(data.images[order].to(device)), data.labels[is_known].to(device)
    rows, labels = surest(METHODS[by](images, known, len(data.classes), updates, seed), known, share)
    found = torch.full_like(data.labels, -1)
    found[order[rows]] = labels
    return ImageData(data.name, data.images, torch.where(is_known, data.labels, found), data.classes)


def agreeing_teacher(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> nn.Module:
    """A classifier trained to answer the same for distorted images [N, C, H, W], whose first have `labels`."""
    labelled = images[: len(labels)], labels
    return train_teacher(labelled, images, classes, weak=affine, strong=affine_elastic, updates=updates, seed=seed)


def smoothed_answers(teacher: nn.Module, images: Tensor) -> Tensor:
    """What the teacher and the neighbours in its features answer, [N, classes]."""
    return smoothed(hidden(teacher, images), probabilities(teacher, images))


def neighbours_answers(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """What the neighbours among features [N, D], whose first have `labels`, answer: [N, classes]."""
    return spread_labels(features, torch.arange(len(labels)), labels, classes)


def surest(answers: Tensor, known: Tensor, share: float = SURE) -> tuple[Tensor, Tensor]:
    """Of each class that the answers [N, classes] give, the surest images: their rows and labels, on the CPU.

    The first images are those of the labels `known`, and sure.
    """
    labels, probability = answers.argmax(1).cpu(), answers.amax(1).cpu()
    labels[: len(known)], probability[: len(known)] = known.cpu(), 1.0
    groups = [(labels == index).nonzero()[:, 0] for index in range(answers.shape[1])]
    orders = [group[probability[group].argsort(descending=True)] for group in groups]
    rows = torch.cat([order[: round(share * len(order))] for order in orders])
    return rows, labels[rows]


def _by_agreement(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> Tensor:
    return smoothed_answers(agreeing_teacher(images, labels, classes, updates, seed), images)


def _by_neighbours(images: Tensor, labels: Tensor, classes: int, updates: int, seed: int) -> Tensor:
    return neighbours_answers(contrastive_features(images, updates, seed), labels, classes)


METHODS: dict[str, Guess] = {"agreement": _by_agreement, "neighbours": _by_neighbours}


def _check(data: ImageData, by: str, share: float, updates: int) -> None:
    if by not in METHODS:
        raise InputError(f"by is {by!r}; choose one of {', '.join(METHODS)}.")
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
    missing = [name for name, count in zip(data.classes, counts.tolist(), strict=True) if not count]
    if missing:
        raise InputError(f"No image of {data.name} is labelled {missing[0]!r}. Label at least one image of each class.")
