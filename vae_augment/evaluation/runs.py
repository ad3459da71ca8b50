"""Training and scoring the methods of a comparison, in this process or in several."""

import functools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..arguments import whole_number
from ..errors import VAEAugmentError
from ..processes import Interruptible, follow_parent, kill_children, submit
from .classifier import is_correct
from .methods import Method, TrainedOn
from .repetition import UPDATES, Repetition
from .splits import LoadedImages, Source, choose_labels


@dataclass(frozen=True)
class Run:
    """One classifier that was trained and scored.

    Attributes:
        method: its name.
        trained_on: what the VAE of the method was trained on; "none" without a VAE.
        seed: of the repetition.
        accuracy: on the test images, in percent.
        seconds: taken; a VAE that several methods share counts for the first of them.
        correct: whether the answer is right, [N] bool, for each test image.
    """

    method: str
    trained_on: TrainedOn
    seed: int
    accuracy: float
    seconds: float
    correct: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def has_vae(self) -> bool:
        """Whether the method uses a VAE."""
        return self.trained_on != "none"

    def facts(self) -> dict[str, Any]:
        """The run as JSON-ready values, without `correct`."""
        return {name: value for name, value in vars(self).items() if name != "correct"}


@dataclass(frozen=True)
class Experiment:
    """What every repetition does.

    Attributes:
        source: of the images.
        methods: to train and score, in this order.
        labels_per_class: how many labels of each class are used; None = all.
        pool: give the methods the other images as a pool.
        updates: of each classifier, of 50 images.
        device: "cpu" or "cuda".
    """

    source: Source
    methods: tuple[Method, ...]
    labels_per_class: int | None = None
    pool: bool = False
    updates: int = UPDATES
    device: str = "cpu"

    def repetition(self, images: LoadedImages, seed: int) -> Repetition:
        """The images that the methods get; `images` are those of the source."""
        train, test = images.for_seed(seed)
        labelled, pool = choose_labels(train, seed, self.labels_per_class, self.pool)
        return Repetition(labelled, test, seed, pool, self.updates, self.device)

    def runs(self, images: LoadedImages, seed: int) -> Iterator[Run]:
        """Train and score the methods on one repetition, one after the other."""
        repetition = self.repetition(images, seed)
        for method in self.methods:
            yield run_method(method, repetition)


def run_method(method: Method, repetition: Repetition) -> Run:
    """Train and score one method on one repetition."""
    start = time.monotonic()
    torch.manual_seed(repetition.seed)
    model = method.train(repetition)
    images, labels = repetition.on_device(repetition.test)
    correct = is_correct(model, images, labels).cpu().numpy()
    accuracy = round(100 * float(correct.mean()), 4)
    seconds = round(time.monotonic() - start, 2)
    return Run(method.name, method.trained_on, repetition.seed, accuracy, seconds, correct)


def run_repetitions(
    experiment: Experiment, images: LoadedImages, seeds: Sequence[int], workers: int = 1
) -> Iterator[Run]:
    """Run the experiment for each seed, and yield each run as soon as it is done.

    Args:
        experiment: what to do.
        images: those of the experiment's source.
        seeds: one for each repetition.
        workers: processes, each of one thread and with one repetition at a time. 1 = this process,
            with all its threads.

    Raises:
        VAEAugmentError: a worker died.
    """
    if whole_number("workers", workers, 1) > 1:
        return _in_processes(experiment, seeds, min(workers, len(seeds)))
    return (run for seed in seeds for run in experiment.runs(images, seed))


def _in_processes(experiment: Experiment, seeds: Sequence[int], workers: int) -> Iterator[Run]:
    # A forked child of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    finished: SimpleQueue[Run] = context.SimpleQueue()
    others = set(multiprocessing.active_children())
    with (
        Interruptible() as interrupt,
        ProcessPoolExecutor(workers, context, _start_worker, (finished,)) as pool,
    ):
        try:
            running = {submit(pool, _run_in_worker, experiment, seed) for seed in seeds}
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
        finally:  # else the pool would wait for the repetitions that are running, for minutes
            kill_children(others)


_finished: "SimpleQueue[Run]"  # in a worker: of the runs that are done


def _start_worker(finished: "SimpleQueue[Run]") -> None:
    global _finished
    _finished = finished
    follow_parent()
    torch.set_num_threads(1)


@functools.cache  # a worker lives for one comparison
def _load(source: Source) -> LoadedImages:
    return source.load()


def _run_in_worker(experiment: Experiment, seed: int) -> None:
    for run in experiment.runs(_load(experiment.source), seed):
        _finished.put(run)
