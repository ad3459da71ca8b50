"""`compare`: whether a VAE helps a classifier on somebody's own images."""

import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from ..errors import InputError, VAEAugmentError
from ..files import atomic_path
from ..generation.process_engine import default_workers
from ..interrupt import follow_parent
from ..training.trainer import Trainer
from .classifier import accuracy
from .distortions import affine, affine_elastic, flip_shift, thickness_affine_elastic
from .experiment import LABELLED, POOL, WITH_VAE, Budget, Draw, Method, Run, check_device, measure, run_method
from .methods import distorted, labelled_vae, perturbed, plain, pool_vae, vae_config
from .report import advise, detail_table
from .splits import Source, everything, few_labels

UPDATES, DRAWS = 1500, 3
PROBE = 10  # updates that are timed to say what the whole will cost


class Verdict(NamedTuple):
    """The runs, their table and the recommendation."""

    runs: list[Run]
    table: str
    advice: str


@dataclass(frozen=True)
class Comparison:
    """Everything that a draw is made from, so that it can travel to another process."""

    source: Source
    labels_per_class: int | None
    pool: bool
    budget: Budget

    @property
    def name(self) -> str:
        """Such as "10 labels + pool"."""
        labels = "all" if self.labels_per_class is None else self.labels_per_class
        return f"{labels} labels" + (" + pool" if self.pool else "")

    def draw(self, number: int) -> Draw:
        """The labelled images, the pool and the test images of one draw."""
        train, test = self.source.load(number)
        if self.labels_per_class is None:
            split = everything(train, number, self.pool)
        else:
            split = few_labels(train, number, self.labels_per_class, self.pool)
        return Draw(split.labelled, test, number, self.budget, split.pool, split.extra)

    def methods(self) -> tuple[Method, ...]:
        """What is compared: no augmentation, distortions, and the recommended settings of `VAEAugment`."""
        vae, trained_on = (pool_vae, POOL) if self.pool else (labelled_vae, LABELLED)
        strong = partial(perturbed, vae=vae, p=0.5, strength=3.0, residual=True)
        return (
            Method("none", plain),
            Method("affine", partial(distorted, distort=affine)),
            Method("affine+elastic", partial(distorted, distort=affine_elastic)),
            Method("thickness+affine+elastic", partial(distorted, distort=thickness_affine_elastic)),
            Method("flip+shift", partial(distorted, distort=flip_shift)),
            Method("strong VAE", strong, WITH_VAE, trained_on),
            Method(
                "thickness+affine+elastic+strong VAE",
                partial(strong, distort=thickness_affine_elastic),
                WITH_VAE,
                trained_on,
            ),
            Method("flip+shift+strong VAE", partial(strong, distort=flip_shift), WITH_VAE, trained_on),
        )


def compare(
    data: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    labels_per_class: int | None = None,
    pool: bool = False,
    test: Sequence[str | os.PathLike[str]] = (),
    draws: int = DRAWS,
    updates: int = UPDATES,
    output: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Train a small classifier with and without a VAE, on the same draws of labels, and say whether it helps.

    >>> verdict = compare("photos", labels_per_class=20, output="results.json")  # photos/class/image.png
    >>> print(verdict.table, verdict.advice, sep="\\n")

    Args:
        data, root: labelled images, as for `load_data`.
        labels_per_class: how many labels are used, other ones in each draw; None = all.
        pool: train the VAE on the images whose labels are not used too, and on those that have none.
        test: more folders or files with the images to test on; else the test part of a named data set, or a fifth of
            each class, other ones in each draw.
        draws: how often everything is repeated; an interval needs two, and is wide with two.
        updates: of each classifier, of 50 images.
        output: a JSON file for the runs; None writes none.
        workers: processes at once, each with one draw; None = as many as there are draws or cores.
        device: "cpu" or "cuda".
        say: told what it will cost, before it starts.

    Returns:
        The runs, a table of accuracies in percent with paired differences and 95 % intervals, and a recommendation.

    Raises:
        InputError: data without labels or with too few, a pool that would be empty, or a value out of range.
        NotFoundError: nothing there.
        VAEAugmentError: a worker died.
    """
    _check(labels_per_class, draws, updates)
    check_device(device)
    source = Source(os.fspath(data), None if root is None else os.fspath(root), tuple(os.fspath(path) for path in test))
    comparison = Comparison(source, labels_per_class, pool, Budget(updates, device=device))
    workers = min(draws, default_workers()) if workers is None else workers
    say(_cost(comparison, draws, workers))
    runs = sorted(_all_runs(comparison, draws, workers), key=lambda run: run.draw)
    if output is not None:
        _write(runs, Path(output))
    return Verdict(runs, detail_table(runs), advise(runs))


def _check(labels_per_class: int | None, draws: int, updates: int) -> None:
    for name, value in (("labels_per_class", labels_per_class), ("draws", draws), ("updates", updates)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")


def _all_runs(comparison: Comparison, draws: int, workers: int) -> Iterator[Run]:
    with tqdm(total=draws * len(comparison.methods()), unit="run", disable=None) as bar:
        for run in _here(comparison, draws) if workers == 1 else _in_processes(comparison, draws, workers):
            bar.update()
            yield run


def _here(comparison: Comparison, draws: int) -> Iterator[Run]:
    for number in range(draws):
        draw = comparison.draw(number)
        yield from (_run(comparison, method, draw) for method in comparison.methods())


def _in_processes(comparison: Comparison, draws: int, workers: int) -> Iterator[Run]:
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads may hang
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        jobs = [pool.submit(_runs_of_draw, comparison, number) for number in range(draws)]
        try:
            yield from itertools.chain.from_iterable(job.result() for job in as_completed(jobs))
        except BrokenProcessPool:
            raise VAEAugmentError(
                "A worker died. The system kills workers when memory runs out: use fewer (--workers)."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    follow_parent()
    torch.set_num_threads(1)


def _runs_of_draw(comparison: Comparison, number: int) -> list[Run]:
    draw = comparison.draw(number)
    return [_run(comparison, method, draw) for method in comparison.methods()]


def _run(comparison: Comparison, method: Method, draw: Draw) -> Run:
    return run_method(method, draw, comparison.name, comparison.source.data)


def _write(runs: list[Run], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary:
        temporary.write_text(json.dumps({"runs": [asdict(run) for run in runs]}, indent=1) + "\n")


def _cost(comparison: Comparison, draws: int, workers: int) -> str:
    draw = comparison.draw(0)
    if comparison.pool and draw.pool is None:
        raise InputError(
            f"{comparison.source.data} leaves no images for a pool: all their labels are used. Leave out --pool."
        )
    runs = draws * len(comparison.methods())
    seconds = (runs * _classifier_seconds(draw) + draws * _vae_seconds(draw)) / min(workers, draws)
    return (
        f"{len(draw.labelled)} labelled images and {len(draw.test)} to test on; {runs} classifiers of "
        f"{draw.budget.updates:,} updates and {draws} VAEs: about {max(1, round(seconds / 60))} min"
    )


def _classifier_seconds(draw: Draw) -> float:
    """What one classifier takes, from the time of a few updates and of one scoring."""
    method = Method("probe", partial(distorted, distort=affine_elastic))
    few, more = (
        _seconds(method, replace(draw, budget=replace(draw.budget, updates=count))) for count in (1, 1 + PROBE)
    )
    return few + draw.budget.updates * max(0.0, more - few) / PROBE


def _seconds(method: Method, draw: Draw) -> float:
    start = time.monotonic()
    measure(method, draw, accuracy)
    return time.monotonic() - start


def _vae_seconds(draw: Draw) -> float:
    """What one VAE takes, from the time of a few updates."""
    trainer = Trainer(draw.with_pool, vae_config(draw, draw.with_pool))
    trainer.update()
    start = time.monotonic()
    for _ in range(PROBE):
        trainer.update()
    return trainer.total * (time.monotonic() - start) / PROBE
