"""The study's runs.

Regime x data x draw x method, one trained classifier each, resumed where the file ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from benchmarks.common import machine
from vae_augment.evaluation.experiment import Method, Run, run_groups
from vae_augment.evaluation.splits import Source

from .draws import Budget, StudyGroup
from .regimes import Regime
from .results import Results


def plan(
    regimes: Sequence[Regime],
    sources: Sequence[Source],
    draws: Sequence[int],
    budget: Budget,
    results: Results,
) -> list[StudyGroup]:
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
                if methods:
                    groups.append(_group(regime, source, number, methods, budget))
    return groups


def _group(
    regime: Regime, source: Source, number: int, methods: tuple[Method, ...], budget: Budget
) -> StudyGroup:
    return StudyGroup(
        regime=regime.name,
        source=source,
        seed=number,
        split=regime.split,
        methods=methods,
        updates=budget.updates,
        device=budget.device,
        metric=regime.metric,
        effort=budget.effort,
        most_images=budget.most_images,
    )


def measure(
    groups: Sequence[StudyGroup],
    results: Results,
    *,
    workers: int = 1,
    report: Callable[[Run], None] = lambda run: None,
) -> None:
    """Run every method of `groups` (`run_groups`) and add each run to `results` as soon as it is done.

    Args:
        groups: as `plan` makes them.
        results: where runs are kept; after a kill, the same call runs only what is missing.
        workers: processes at once, of one thread each; 1 runs everything here, with all threads.
        report: called after each run.
    """
    with tqdm(total=sum(len(group.methods) for group in groups), unit="run", disable=None) as bar:
        for run in run_groups(groups, workers):
            results.add(run)
            report(run)
            bar.update()


def facts(command: str, device: str, workers: int) -> dict[str, Any]:
    """The head of a result file."""
    found = machine(device)
    return {"command": command} | found | {"threads": found["threads"] if workers == 1 else 1}


def settings(budget: Budget) -> dict[str, Any]:
    """What all runs of a result file share."""
    return asdict(budget)
