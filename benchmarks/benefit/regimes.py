"""The situations in which a VAE may help, each with its draws and its methods."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import torch

from vae_augment.evaluation import splits
from vae_augment.evaluation.classifier import Metric, percent_correct
from vae_augment.evaluation.experiment import LABELLED, NOTHING, Method, Run
from vae_augment.evaluation.splits import shuffled_classes
from vae_augment.training import ImageData

from . import methods, pool_methods
from .draws import Parts, Split, balanced_accuracy

HEAD, TAIL = 1000, 10  # images of the largest and of the smallest class of the long tail
EXTRA = 10  # extra images, as a multiple of the labelled ones
Methods = Callable[[str], tuple[Method, ...]]  # from the name of a data set


@dataclass(frozen=True)
class Regime:
    """One situation.

    Attributes: name, title: short and long. split: makes of a training set and a seed what the
        methods get. methods: for a data set, in the order of the table. metric: what is measured on
        the test images, in percent. like: the regime whose draws have the same labelled images, and
        whose methods without a VAE are shown in this
            one's table too.
    """

    name: str
    title: str
    split: Split
    methods: Methods
    metric: Metric = percent_correct
    like: str = ""


def few_labels(data: ImageData, seed: int, per_class: int, pool: bool = False) -> Parts:
    """`splits.choose_labels`, and ten times as many extra images of each class."""
    extra = torch.cat(
        [rows[per_class : (1 + EXTRA) * per_class] for rows in shuffled_classes(data, seed)]
    )
    return Parts(*splits.choose_labels(data, seed, per_class, pool), subset(data, extra))


def everything(data: ImageData, seed: int) -> Parts:
    """All labelled images, and no extra ones."""
    return Parts(*splits.choose_labels(data, seed))


def subset(data: ImageData, rows: torch.Tensor) -> ImageData | None:
    """The images at `rows`; None where there are none."""
    return data.subset(rows) if len(rows) else None


def long_tail(data: ImageData, seed: int) -> Parts:
    """Class sizes that fall geometrically from 1,000 to 10, over the classes in an order that the seed decides.

    The extra images fill every class up to 1,000.
    """
    classes = shuffled_classes(data, seed)
    ranks = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed + 1)).tolist()
    sizes = [round(HEAD * (TAIL / HEAD) ** (rank / (len(classes) - 1))) for rank in ranks]
    labelled = torch.cat([rows[:size] for rows, size in zip(classes, sizes, strict=True)])
    extra = torch.cat([rows[size:HEAD] for rows, size in zip(classes, sizes, strict=True)])
    return Parts(data.subset(labelled), None, subset(data, extra))


def _labelled_only(data: str) -> tuple[Method, ...]:
    return (*methods.classical(data), *methods.strong(data, LABELLED), *methods.ceilings())


def _long_tailed(data: str) -> tuple[Method, ...]:
    balanced = methods.oversampled
    return (
        *methods.classical(data, balanced),
        *methods.strong(data, LABELLED, balanced),
        *methods.ceilings(),
    )


def _samples(data: str) -> tuple[Method, ...]:
    return (*methods.classical(data), *methods.samples())


def _gentle(data: str) -> tuple[Method, ...]:
    return methods.gentle()


REGIMES = (
    Regime(
        "10 labels",
        "10 labels per class and nothing else",
        partial(few_labels, per_class=10),
        _labelled_only,
    ),
    Regime(
        "100 labels",
        "100 labels per class and nothing else",
        partial(few_labels, per_class=100),
        _labelled_only,
    ),
    Regime(
        "10 labels + pool",
        "10 labels per class and all other images without labels",
        partial(few_labels, per_class=10, pool=True),
        pool_methods.methods,
        like="10 labels",
    ),
    Regime(
        "synthetic only",
        "methods with a VAE train on its images only, the others on all labels",
        everything,
        _samples,
    ),
    Regime(
        "long tail",
        (
            "class sizes from 1,000 to 10, balanced accuracy; all methods but 'none' balance the "
            "classes"
        ),
        long_tail,
        _long_tailed,
        balanced_accuracy,
    ),
    Regime("all labels", "all labels", everything, _gentle, like="synthetic only"),
)


def with_shared(runs: Iterable[Run]) -> list[Run]:
    """The runs, with those of the methods without a VAE copied to each regime that is `like` theirs."""
    runs = list(runs)
    found = {run.regime for run in runs}
    shared = [
        replace(run, regime=regime.name)
        for regime in REGIMES
        if regime.name in found
        for run in runs
        if run.regime == regime.like and run.trained_on == NOTHING
    ]
    return shared + runs
