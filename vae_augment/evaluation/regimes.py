"""The situations in which a VAE may help, each with its draws and its arms."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from ..training import ImageData
from .arms import FULL, LABELLED, NOTHING, Arm
from .classical_arms import ceiling_arms, classical_arms, oversampled
from .classifier import Metric, accuracy, balanced_accuracy
from .draws import Split, everything, few_labels, long_tail
from .results import Run
from .semi_supervised import ARMS as SEMI_SUPERVISED
from .vae_arms import full_vae, gentle_arms, labelled_vae, strong_arms, synthetic_arms


@dataclass(frozen=True)
class Regime:
    """One situation.

    Attributes:
        name, title: short and long.
        split: from a training set and a seed to what the arms get.
        arms: in the order of the table.
        metric: what is measured on the test images, in percent.
        like: the regime whose draws have the same labelled images, and whose arms without a VAE stand in this one's
            table too.
    """

    name: str
    title: str
    split: Callable[[ImageData, int], Split]
    arms: tuple[Arm, ...]
    metric: Metric = accuracy
    like: str = ""

    def arms_for(self, data: str) -> tuple[Arm, ...]:
        """The arms that are meant for the data set `data`."""
        return tuple(arm for arm in self.arms if not arm.data or data in arm.data)


_LABELLED_ONLY = (
    *classical_arms(),
    *strong_arms(labelled_vae, LABELLED),
    *ceiling_arms(),
)
_SYNTHETIC = (*classical_arms(), *synthetic_arms(full_vae, FULL))
_LONG_TAIL = (
    *classical_arms(oversampled),
    *strong_arms(labelled_vae, LABELLED, images=oversampled),
    *ceiling_arms(),
)

REGIMES = (
    Regime("A10", "10 labels a class and nothing else", partial(few_labels, per_class=10), _LABELLED_ONLY),
    Regime("A100", "100 labels a class and nothing else", partial(few_labels, per_class=100), _LABELLED_ONLY),
    Regime(
        "B",
        "10 labels a class and a pool",
        partial(few_labels, per_class=10, pool=True),
        SEMI_SUPERVISED,
        like="A10",
    ),
    Regime("C", "all labels; arms with a VAE train on its images only", everything, _SYNTHETIC),
    Regime(
        "D",
        "class sizes from 1,000 to 10, balanced accuracy; all arms but 'none' balance the classes",
        long_tail,
        _LONG_TAIL,
        balanced_accuracy,
    ),
    Regime("E", "all labels", everything, gentle_arms(full_vae, FULL), like="C"),
)


def with_shared(runs: Iterable[Run]) -> list[Run]:
    """The runs, and in each regime that is `like` another one that one's arms without a VAE."""
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
