"""The engine of every comparison: regime x data x draw x arm, one trained classifier each, resumed where it stopped."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tqdm import tqdm

from ..errors import InputError
from ..training import ImageData, load_data
from ..training.data import NAMED
from .arms import Arm, Budget, Draw, measure
from .classifier import Metric, accuracy
from .draws import held_out_per_class, some
from .lanes import in_lanes
from .machine import machine
from .regimes import Regime
from .results import Results, Run

HELD_OUT = 0.2  # of each class, where data come without a test part


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        data, root: as for `load_data`.
        test: where the test images lie, when not in the named data set; with neither, a fifth of each class is
            held out, another one in each draw.
    """

    data: str
    root: str | None = None
    test: tuple[str, ...] = ()

    def load(self, seed: int) -> tuple[ImageData, ImageData]:
        """Training and test images of a draw; `InputError` where they are not of two classes at least."""
        train = _load(self.data, self.root, True)
        if len(train.classes) < 2:
            raise InputError(
                f"{train.name} has {len(train.classes)} classes; a comparison needs labelled images of at least two: a "
                "folder of class folders, an .npz with labels, or a named data set."
            )
        if self.test:
            return train, _joined([_load(path, None, True) for path in self.test], train)
        if self.data in NAMED:
            return train, _load(self.data, self.root, False)
        return held_out_per_class(train, HELD_OUT, seed)


@dataclass(frozen=True)
class Group:
    """The arms that share one draw, and so one process and its VAEs."""

    regime: Regime
    source: Source
    number: int
    budget: Budget
    arms: tuple[Arm, ...]

    def draw(self) -> Draw:
        """What the arms get."""
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
                arms = tuple(
                    arm
                    for arm in regime.arms_for(source.data)
                    if (regime.name, source.data, arm.name, number) not in results
                )
                groups += [Group(regime, source, number, budget, arms)] if arms else []
    return groups


def run_benefit(
    groups: Sequence[Group],
    results: Results,
    *,
    workers: int = 1,
    report: Callable[[Run], None] = lambda run: None,
) -> None:
    """Measure every arm of `groups` and note it in `results`, as soon as it is done.

    Args:
        groups: as `plan` makes them.
        results: where runs are kept; killed and called again, only what is missing is run.
        workers: processes at once, of one thread each; 1 runs everything here, with all threads.
        report: called after each run.

    Raises:
        InputError: fewer than one worker, or data that do not suit a regime.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    with tqdm(total=sum(len(group.arms) for group in groups), unit="run", disable=None) as bar:
        for run in in_lanes(runs_of_group, groups, workers):
            results.add(run)
            report(run)
            bar.update()


def runs_of_group(group: Group) -> Iterator[Run]:
    """Train and score the arms of a group, one after the other."""
    draw = group.draw()
    for arm in group.arms:
        yield run_arm(arm, draw, group.regime.name, group.source.data, group.regime.metric)


def run_arm(arm: Arm, draw: Draw, regime: str, data: str, metric: Metric = accuracy) -> Run:
    """Train and score one arm on one draw; `regime` and `data` are the names under which it is noted."""
    start = time.monotonic()
    percent, updates = measure(arm, draw, metric)
    return Run(
        regime=regime,
        data=data,
        arm=arm.name,
        kind=arm.kind,
        trained_on=arm.trained_on,
        draw=draw.seed,
        updates=updates,
        accuracy=round(percent, 4),
        seconds=round(time.monotonic() - start, 2),
    )


def facts(command: str, device: str, workers: int) -> dict[str, Any]:
    """The head of a result file."""
    found = machine(device)
    return {"command": command} | found | {"threads": found["threads"] if workers == 1 else 1}


def settings(budget: Budget) -> dict[str, Any]:
    """What all runs of a result file share."""
    return asdict(budget)


def check_device(device: str) -> None:
    """Raise `InputError` for a device that is not here."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"device is {device!r}; choose cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA device here. Use cpu.")


@functools.lru_cache(maxsize=4)
def _load(data: str, root: str | None, train: bool) -> ImageData:
    return load_data(data, root, train=train)


def _joined(parts: list[ImageData], like: ImageData) -> ImageData:
    for part in parts:
        if part.classes != like.classes or part.image_shape != like.image_shape:
            raise InputError(
                f"The test images of {part.name} are {part.image_shape} of the classes {part.classes}; those to train "
                f"on are {like.image_shape} of {like.classes}. They must agree."
            )
    images, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    is_labelled = labels >= 0
    return ImageData("test", images[is_labelled], labels[is_labelled], like.classes)
