"""`compare`: whether a VAE helps a classifier on somebody's own images, by the engine of the benchmark."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ..errors import InputError
from ..generation.process_engine import default_workers
from ..training.trainer import Trainer
from .advice import advise
from .arms import LABELLED, POOL, Arm, Budget, Draw, measure
from .benefit import Group, Source, check_device, facts, plan, run_benefit, settings
from .classical import affine, affine_elastic, flip_shift
from .classical_arms import distorted, plain
from .classifier import accuracy
from .draws import everything, few_labels
from .regimes import Regime
from .results import Results, Run
from .tables import detail_table
from .vae_arms import labelled_vae, pool_vae, vae_arms, vae_config

UPDATES, DRAWS = 1500, 3
PROBE = 10  # updates that are timed to say what the whole will cost


class Verdict(NamedTuple):
    """The runs, their table and the recommendation."""

    runs: list[Run]
    table: str
    advice: str


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
        output: a JSON file for every run; the same call goes on where that file ends. None keeps nothing.
        workers: processes at once; None = one a draw, as far as there are cores.
        device: "cpu" or "cuda".
        say: told what it will cost, before it starts.

    Returns:
        The runs, a table of accuracies in percent with paired differences and 95 % intervals, and a recommendation.

    Raises:
        InputError: data without labels or with too few, a pool that would be empty, a value out of range, or an output
            of other settings, data or versions.
        DataNotFoundError: nothing there.
    """
    _check(labels_per_class, draws, updates)
    check_device(device)
    source = Source(str(data), None if root is None else str(root), tuple(str(path) for path in test))
    budget = Budget(updates, device=device)
    regime = _regime(labels_per_class, pool)
    first = _first_draw(regime, source, budget, pool)
    workers = min(draws, default_workers()) if workers is None else workers
    shared = settings(budget) | {"images": first.labelled.digest, "test": first.test.digest}
    results = Results(output, facts(f"compare {data}", device, workers), shared)
    groups = plan([regime], [source], range(draws), budget, results)
    if groups:
        say(_cost(groups, first, workers))
    run_benefit(groups, results, workers=workers)
    mine = [run for run in results.runs if (run.regime, run.data) == (regime.name, source.data) and run.draw < draws]
    return Verdict(mine, detail_table(mine), advise(mine))


def _check(labels_per_class: int | None, draws: int, updates: int) -> None:
    for name, value in (("labels_per_class", labels_per_class), ("draws", draws), ("updates", updates)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")


def _regime(per_class: int | None, pool: bool) -> Regime:
    vae, trained_on = (pool_vae, POOL) if pool else (labelled_vae, LABELLED)
    arms = (
        Arm("none", plain),
        Arm("affine", partial(distorted, distort=affine)),
        Arm("affine+elastic", partial(distorted, distort=affine_elastic)),
        Arm("flip+shift", partial(distorted, distort=flip_shift)),
        *vae_arms(vae, trained_on),
    )
    split = partial(everything, pool=pool) if per_class is None else partial(few_labels, per_class=per_class, pool=pool)
    name = f"{'all' if per_class is None else per_class} labels a class" + (" and a pool" if pool else "")
    return Regime(name, name, split, arms)


def _first_draw(regime: Regime, source: Source, budget: Budget, pool: bool) -> Draw:
    """The first draw, which shows before anything is trained whether the data will do."""
    draw = Group(regime, source, 0, budget, ()).draw()
    if pool and draw.pool is None:
        raise InputError(f"{source.data} leaves no images for a pool: all their labels are used. Leave out --pool.")
    return draw


def _cost(groups: Sequence[Group], draw: Draw, workers: int) -> str:
    runs = sum(len(group.arms) for group in groups)
    seconds = (runs * _classifier_seconds(draw) + len(groups) * _vae_seconds(draw)) / min(workers, len(groups))
    return (
        f"{len(draw.labelled)} labelled images and {len(draw.test)} to test on; {runs} classifiers of "
        f"{draw.budget.updates:,} updates and {len(groups)} VAEs: about {max(1, round(seconds / 60))} min"
    )


def _classifier_seconds(draw: Draw) -> float:
    """What one classifier takes, from the time of a few updates and of one scoring."""
    arm = Arm("probe", partial(distorted, distort=affine_elastic))
    few, more = (_seconds(arm, replace(draw, budget=replace(draw.budget, updates=count))) for count in (1, 1 + PROBE))
    return few + draw.budget.updates * max(0.0, more - few) / PROBE


def _seconds(arm: Arm, draw: Draw) -> float:
    start = time.monotonic()
    measure(arm, draw, accuracy)
    return time.monotonic() - start


def _vae_seconds(draw: Draw) -> float:
    """What one VAE takes, from the time of a few updates."""
    trainer = Trainer(draw.unlabelled_too, vae_config(draw, draw.unlabelled_too))
    trainer.update()
    start = time.monotonic()
    for _ in range(PROBE):
        trainer.update()
    return trainer.total * (time.monotonic() - start) / PROBE
