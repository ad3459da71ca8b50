"""The study's runs: regime x data x draw x method, one trained classifier each, resumed where the file ends."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.common import machine
from vae_augment.errors import InputError, VAEAugmentError
from vae_augment.evaluation.experiment import Budget, Draw, Method, Run, run_method
from vae_augment.evaluation.splits import Source, some
from vae_augment.interrupt import follow_parent

from .regimes import Regime
from .results import Results


@dataclass(frozen=True)
class Group:
    """The methods that share one draw, and so one process and its VAEs."""

    regime: Regime
    source: Source
    number: int
    budget: Budget
    methods: tuple[Method, ...]

    def draw(self) -> Draw:
        """What the methods get."""
        train, test = (some(data, self.budget.most_images) for data in self.source.load(self.number))
        split = self.regime.split(train, self.number)
        return Draw(split.labelled, test, self.number, self.budget, split.pool, split.extra)


def plan(
    regimes: Sequence[Regime], sources: Sequence[Source], draws: Sequence[int], budget: Budget, results: Results
) -> list[Group]:
    """What is still to be measured, the first draws of everything before the second ones."""
    groups = []
    for number in draws:
        for regime in regimes:
            for source in sources:
                methods = tuple(
                    method
                    for method in regime.methods(source.data)
                    if (regime.name, source.data, method.name, number) not in results
                )
                groups += [Group(regime, source, number, budget, methods)] if methods else []
    return groups


def run_groups(
    groups: Sequence[Group],
    results: Results,
    *,
    workers: int = 1,
    report: Callable[[Run], None] = lambda run: None,
) -> None:
    """Measure every method of `groups` and note it in `results`: each at once, or by group with several workers.

    Args:
        groups: as `plan` makes them.
        results: where runs are kept; killed and called again, only what is missing is run.
        workers: processes at once, of one thread each; 1 runs everything here, with all threads.
        report: called after each run.

    Raises:
        InputError: fewer than one worker, or data that do not suit a regime.
        VAEAugmentError: a worker died.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    found = _in_processes(groups, workers) if workers > 1 else (run for group in groups for run in runs_of_group(group))
    with tqdm(total=sum(len(group.methods) for group in groups), unit="run", disable=None) as bar:
        for run in found:
            results.add(run)
            report(run)
            bar.update()


def runs_of_group(group: Group) -> Iterator[Run]:
    """Train and score the methods of a group, one after the other."""
    draw = group.draw()
    for method in group.methods:
        yield run_method(method, draw, group.regime.name, group.source.data, group.regime.metric)


def facts(command: str, device: str, workers: int) -> dict[str, Any]:
    """The head of a result file."""
    found = machine(device)
    return {"command": command} | found | {"threads": found["threads"] if workers == 1 else 1}


def settings(budget: Budget) -> dict[str, Any]:
    """What all runs of a result file share."""
    return asdict(budget)


def _in_processes(groups: Sequence[Group], workers: int) -> Iterator[Run]:
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads may hang
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        jobs = [pool.submit(_all_runs, group) for group in groups]
        try:
            for job in as_completed(jobs):
                yield from job.result()
        except BrokenProcessPool:
            raise VAEAugmentError(
                "A worker died. The system kills workers when memory runs out: use fewer (--workers). What was "
                "measured until then is kept, and the same command goes on from there."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _all_runs(group: Group) -> list[Run]:
    return list(runs_of_group(group))


def _start_worker() -> None:
    follow_parent()
    torch.set_num_threads(1)
