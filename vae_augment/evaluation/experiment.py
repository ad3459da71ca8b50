"""The parts of a comparison.

Draws of labelled images, methods that train a classifier on a draw, and their runs.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing.queues import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..arguments import whole_number
from ..errors import VAEAugmentError
from ..model.vae_model import VAEModel
from ..processes import Interruptible, children_deaf, follow_parent, kill_children
from ..training import ImageData
from ..training.data.image_data import to_float
from ..transforms.augment import VAEAugment
from .classifier import (
    Batch,
    Distort,
    Metric,
    identity,
    is_correct,
    percent_correct,
    train_classifier,
)
from .splits import Source, Split

CLASSICAL, WITH_VAE = "classical", "VAE"  # kinds of methods
NOTHING, LABELLED, POOL, GIVEN = (
    "none",
    "labelled only",
    "pool",
    "given",
)  # what the VAE of a method was trained on
UPDATES = 1500


@dataclass(frozen=True)
class Draw:
    """One random choice of labelled images, the same for all methods, so that their accuracies can be paired."""

    labelled: ImageData  # for training
    test: ImageData  # for scoring only
    seed: int  # of everything random
    pool: ImageData | None = None  # more images for training, all with the label -1
    updates: int = UPDATES  # of the classifier, of 50 images each
    device: str = "cpu"
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def real(self) -> Batch:
        """The labelled images and their labels, as `on_device` gives them."""
        return self.on_device(self.labelled)

    @property
    def with_pool(self) -> ImageData:
        """The labelled images, followed by the pool."""
        if self.pool is None:
            return self.labelled
        images = torch.cat([self.labelled.images, self.pool.images])
        return replace(
            self.labelled, images=images, labels=torch.cat([self.labelled.labels, self.pool.labels])
        )

    def on_device(self, data: ImageData) -> Batch:
        """Images [N, C, H, W], float in [0, 1], and labels [N], on the device."""
        return to_float(data.images.to(self.device)), data.labels.to(self.device)

    def once(self, make: Callable[[Any], Any]) -> Any:
        """The result of `make(self)`, such as a VAE, made at the first call and shared by all methods."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]


@dataclass(frozen=True)
class Method:
    """One row of a table.

    A way to train the small classifier on a draw. It can be pickled if its functions can.
    """

    name: str
    distort: Distort = identity  # the augmentation of each batch of images
    # With which `VAEAugment` perturbs the distorted images
    vae: Callable[[Draw], VAEModel] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # of `VAEAugment`
    vae_is_first: bool = False  # so that the perturbed images are distorted
    images: Callable[[Any], Batch] = (
        Draw.real
    )  # what a `Draw` is trained on: images as in `Draw.real`
    kind: str = CLASSICAL
    trained_on: str = NOTHING
    use: str = ""  # how a user writes it

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        """The trained classifier, in evaluation mode, and the number of updates that it took."""
        images, labels = self.images(draw)
        classes = len(draw.labelled.classes)
        distort = self.augmentation(draw)
        updates = draw.updates
        return train_classifier(
            images, labels, classes, distort=distort, updates=updates, seed=draw.seed
        ), updates

    def augmentation(self, draw: Draw) -> Distort:
        """`distort`, followed by `VAEAugment` if the method has a VAE."""
        if self.vae is None:
            return self.distort
        perturb = VAEAugment(draw.once(self.vae), **self.settings)
        if self.vae_is_first:
            return lambda images: self.distort(perturb(images))
        return lambda images: perturb(self.distort(images))


@dataclass(frozen=True)
class Run:
    """One classifier that was trained and scored."""

    regime: str  # the name of the situation, such as "10 labels"
    data: str
    method: str
    kind: str
    trained_on: str
    draw: int  # its seed
    updates: int  # of all classifiers that the method trained
    accuracy: float  # in percent
    seconds: float  # the time of a VAE that several methods share is part of the first one's
    correct: NDArray[np.bool_] | None = field(
        default=None, repr=False, compare=False
    )  # per test image

    def facts(self) -> dict[str, Any]:
        """The run as JSON-ready values, without `correct`."""
        return {name: value for name, value in vars(self).items() if name != "correct"}


@dataclass(frozen=True)
class Group:
    """The methods that are run on one draw, in one process, because they share its VAE."""

    regime: str
    source: Source
    seed: int
    split: Callable[[ImageData, int], Split]
    methods: tuple[Method, ...]
    updates: int = UPDATES
    device: str = "cpu"
    metric: Metric = percent_correct

    def draw(self) -> Draw:
        """The images that the methods get."""
        train, test = self.source.load(self.seed)
        labelled, pool = self.split(train, self.seed)
        return Draw(labelled, test, self.seed, pool, self.updates, self.device)

    def runs(self) -> Iterator[Run]:
        """Train and score the methods, one after the other."""
        draw = self.draw()
        for method in self.methods:
            yield run_method(method, draw, self.regime, self.source.data, self.metric)


def run_method(
    method: Method, draw: Draw, regime: str, data: str, metric: Metric = percent_correct
) -> Run:
    """Train and score one method on one draw.

    `regime` and `data` are the names that the run gets.
    """
    start = time.monotonic()
    torch.manual_seed(draw.seed)
    model, updates = method.train(draw)
    images, labels = draw.on_device(draw.test)
    correct = is_correct(model, images, labels)
    percent = round(metric(correct, labels), 4)
    seconds = round(time.monotonic() - start, 2)
    facts = (method.name, method.kind, method.trained_on, draw.seed, updates, percent, seconds)
    return Run(regime, data, *facts, correct.cpu().numpy())


def run_groups(groups: Sequence[Group], workers: int = 1) -> Iterator[Run]:
    """Run all methods of all groups, and yield each run as soon as it is done; `VAEAugmentError` if a worker dies.

    `workers` processes run one group each, with one thread; a single worker is this process, with
    all its threads.
    """
    if whole_number("workers", workers, 1) > 1:
        return _in_processes(groups, workers)
    return (run for group in groups for run in group.runs())


def _in_processes(groups: Sequence[Group], workers: int) -> Iterator[Run]:
    context = multiprocessing.get_context(
        "spawn"
    )  # a forked child of a process with threads may hang
    finished: SimpleQueue[Run] = context.SimpleQueue()
    others = set(multiprocessing.active_children())
    most = min(workers, len(groups))
    with (
        Interruptible() as interrupt,
        ProcessPoolExecutor(most, context, _start_worker, (finished,)) as pool,
    ):
        try:
            with children_deaf():
                running = {pool.submit(_run_group, group) for group in groups}
            while running:
                done, running = wait(running, timeout=0.5)
                interrupt.raise_if_requested()
                while not finished.empty():
                    yield finished.get()
                for job in done:
                    job.result()  # raises what was raised in the worker
        except BrokenProcessPool:
            raise VAEAugmentError(
                "A worker died: memory ran out (use fewer, --workers), or a script lacks `if "
                "__name__ == '__main__':`."
            ) from None
        finally:  # else the pool would wait for the groups that are running, which takes minutes
            kill_children(others)


_finished: "SimpleQueue[Run]"  # of the runs that are done, in a worker


def _start_worker(finished: "SimpleQueue[Run]") -> None:
    global _finished
    _finished = finished
    follow_parent()
    torch.set_num_threads(1)


def _run_group(group: Group) -> None:
    for run in group.runs():
        _finished.put(run)
