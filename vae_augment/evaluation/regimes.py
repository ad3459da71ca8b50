"""The situations in which a VAE may help, each with its draws and its arms."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..training import ImageData
from .arms import FULL, LABELLED, POOL, Arm
from .classical_arms import ceiling_arms, classical_arms, oversampled
from .classifier import Metric, accuracy, balanced_accuracy
from .draws import Split, everything, few_labels, long_tail
from .semi_supervised import ARMS as SEMI_SUPERVISED
from .vae_arms import (
    completed,
    full_vae,
    generating_arms,
    gentle_arms,
    labelled_vae,
    pool_vae,
    synthetic_only,
    vae_arms,
)


@dataclass(frozen=True)
class Regime:
    """One situation.

    Attributes:
        name, title: short and long.
        split: from a training set and a seed to what the arms get.
        arms: in the order of the table.
        metric: what is measured on the test images, in percent.
    """

    name: str
    title: str
    split: Callable[[ImageData, int], Split]
    arms: tuple[Arm, ...]
    metric: Metric = accuracy

    def arms_for(self, data: str) -> tuple[Arm, ...]:
        """The arms that are meant for the data set `data`."""
        return tuple(arm for arm in self.arms if not arm.data or data in arm.data)


_LABELLED_ONLY = (*classical_arms(), *vae_arms(labelled_vae, LABELLED), *ceiling_arms())
_WITH_POOL = (*classical_arms(), *vae_arms(pool_vae, POOL), *SEMI_SUPERVISED, *ceiling_arms())
_SYNTHETIC = (*classical_arms(), *generating_arms(synthetic_only, full_vae, FULL))
_LONG_TAIL = (*classical_arms(oversampled), *generating_arms(completed, labelled_vae, LABELLED), *ceiling_arms())
_FULL = (*classical_arms(), *gentle_arms(full_vae, FULL))

REGIMES = (
    Regime("A10", "10 labels a class and nothing else", partial(few_labels, per_class=10), _LABELLED_ONLY),
    Regime("A100", "100 labels a class and nothing else", partial(few_labels, per_class=100), _LABELLED_ONLY),
    Regime("B", "10 labels a class and a pool", partial(few_labels, per_class=10, pool=True), _WITH_POOL),
    Regime("C", "all labels; arms with a VAE train on its images only", everything, _SYNTHETIC),
    Regime(
        "D",
        "class sizes from 1,000 to 10, balanced accuracy; all arms but 'none' balance the classes",
        long_tail,
        _LONG_TAIL,
        balanced_accuracy,
    ),
    Regime("E", "all labels", everything, _FULL),
)
