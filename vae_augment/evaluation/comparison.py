"""`compare`: whether a VAE helps a classifier on the user's own images."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from tqdm.auto import tqdm

from ..arguments import check_seed, whole_number
from ..errors import InputError
from ..files import atomic_path, check_folder
from ..model.vae_model import VAEModel, load
from ..processes import default_workers
from ..training.data import StrPath
from ..training.half_precision import check_device
from ..training.progress import is_hidden
from ..transforms.augment import VAEAugment
from .methods import Settings, methods_to_try
from .repetition import UPDATES, Repetition
from .report import advise, detail_table
from .runs import Experiment, Run, run_repetitions
from .splits import Source

logger = logging.getLogger(__name__)


class Comparison(NamedTuple):
    """What `compare` gives: its runs, a table of accuracies in Markdown, and advice."""

    runs: list[Run]
    table: str
    advice: str


def compare(
    data: StrPath,
    root: StrPath | None = None,
    *,
    labels_per_class: int | None = None,
    pool: bool = False,
    model: StrPath | None = None,
    settings: Settings | None = None,
    methods: Sequence[str] | None = None,
    test: Sequence[StrPath] = (),
    draws: int = 3,
    seed: int = 0,
    updates: int = UPDATES,
    output: StrPath | None = None,
    workers: int | None = None,
    device: str = "cpu",
    reading: Mapping[str, Any] | None = None,
) -> Comparison:
    """Train a small classifier with and without a VAE, and say whether the VAE helps.

    Everything is repeated with other labelled images, which are the same for all methods. What will
    be done is logged before it starts.

    >>> found = compare("photos", labels_per_class=20)  # photos/class/image.png
    >>> print(found.table, found.advice, sep="\\n")

    Args:
        data: labelled images, as for `load_data`.
        root: as for `load_data`.
        labels_per_class: how many labels are used, chosen at random; None = all.
        pool: train the VAE also on the images whose labels are not used, and on those that have
            none.
        model: a bundled name or an .onnx file to try, which should not have seen the test images;
            None = a VAE is trained on the images of each repetition.
        settings: arguments of `VAEAugment` to try, such as {"strength": 2.0, "p": 1.0}, in place of
            the two recommended settings; those that are left out have their defaults.
        methods: names of the methods to compare, as in the first column of the table, beside
            "none", which is always there; None = all.
        test: folders or files with the images to test on; when empty, the test images of a named
            data set, or else a fifth of each class, chosen anew in each repetition.
        draws: how often everything is repeated with other labels; advice needs at least two, and
            its interval is wide with two.
        seed: of the first repetition; the next ones count up.
        updates: of each classifier, of 50 images.
        output: a JSON file for the runs; None writes none.
        workers: processes at once, each with one repetition; None = as many as there are
            repetitions or cores.
        device: "cpu" or "cuda".
        reading: further keyword arguments of `load_data`, such as {"background": "black"}.

    Returns:
        The runs, a table of accuracies in percent with paired differences and 95 % intervals, and
        advice.

    Raises:
        InputError: data without labels or with too few, a pool that would be empty, or a value out
            of range.
        VAEAugmentError: no data there, or a worker died.
    """
    whole_number("draws", draws, 1, bits=17)  # more would take days
    whole_number("updates", updates, 1, bits=17)
    if labels_per_class is not None:
        whole_number("labels_per_class", labels_per_class, 1)
    seeds = range(check_seed(seed), check_seed(seed + draws - 1) + 1)
    check_device(device)
    if output is not None:
        check_folder(output)
    paths = tuple(os.fspath(path) for path in test)
    folder = None if root is None else os.fspath(root)
    source = Source(os.fspath(data), folder, paths, reading or {})
    images = source.load()
    given = None if model is None else load(model, provider="cpu")
    tried = methods_to_try(
        images.train.image_shape,
        pool=pool,
        model=model,
        sha256=None if given is None else given.sha256,
        settings=settings,
        names=methods,
    )
    experiment = Experiment(source, tried, labels_per_class, pool, updates, device)
    first = experiment.repetition(images, seeds[0])
    _check(first, source.data, pool, given, settings)
    logger.info(_announcement(experiment, first, draws, given))
    processes = min(draws, default_workers()) if workers is None else workers
    found = run_repetitions(experiment, images, seeds, processes)
    bar = tqdm(found, total=draws * len(tried), unit="run", disable=is_hidden())
    runs = sorted(bar, key=lambda run: run.seed)
    if output is not None:
        _write(output, experiment, runs)
    usages = {method.name: method.usage for method in tried}
    return Comparison(runs, detail_table(runs), advise(runs, usages))


def _check(
    repetition: Repetition,
    data: str,
    pool: bool,
    given: VAEModel | None,
    settings: Settings | None,
) -> None:
    """Raise `InputError` before anything is trained for what would fail after it."""
    if pool and repetition.pool is None:
        raise InputError(
            f"{data} leaves no images for a pool: all their labels are used. Leave out --pool."
        )
    # A VAE that is still to be trained takes the same settings as a bundled one.
    perturb = VAEAugment(given or load("mnist", provider="cpu"), **settings or {})
    images = torch.zeros(perturb.model.spec.image_shape)
    if given is not None:
        images = repetition.labelled.images[:1000]
        if given.spec.image_shape != repetition.labelled.image_shape:
            raise InputError(
                f"The model {given.name} takes images of shape {given.spec.image_shape}; those of "
                f"{data} have {repetition.labelled.image_shape}. Leave the model out, and one is "
                "trained on them, or resize them."
            )
    perturb(images)


def _announcement(
    experiment: Experiment, repetition: Repetition, draws: int, given: VAEModel | None
) -> str:
    classifiers = draws * len(experiment.methods)
    vaes = "no VAE" if given else f"{draws} VAEs"
    return (
        f"{len(repetition.labelled)} labelled images and {len(repetition.test)} to test on; "
        f"{classifiers} classifiers of {experiment.updates:,} updates and {vaes} to train"
    )


def _write(path: StrPath, experiment: Experiment, runs: Sequence[Run]) -> None:
    facts = {
        "data": experiment.source.data,
        "labels_per_class": experiment.labels_per_class,
        "pool": experiment.pool,
        "updates": experiment.updates,
        "runs": [run.facts() for run in runs],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")
