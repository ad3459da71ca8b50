"""What only the study needs.

Draws with extra images, shortened VAEs, and a score that counts classes alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from vae_augment import VAEModel
from vae_augment.evaluation.experiment import (
    CLASSICAL,
    LABELLED,
    NOTHING,
    POOL,
    WITH_VAE,
    Draw,
    Group,
)
from vae_augment.evaluation.vaes import fit_model
from vae_augment.training import FitConfig, ImageData

CEILING, OTHER = "ceiling", "other"  # kinds of methods: the first sees more labels than the others
KINDS = (CLASSICAL, WITH_VAE, CEILING, OTHER)
FULL = "full"  # what a VAE was trained on: all labelled images
TRAINED_ON = (NOTHING, LABELLED, POOL, FULL)


@dataclass(frozen=True)
class Budget:
    """What every method may spend.

    Attributes:
        updates: of the classifier, of 50 images each.
        effort: share of the usual number of updates that a VAE is trained for; below 1 for trials.
        most_images: how many training and test images are used, for trials; None = all.
        device: "cpu" or "cuda".
    """

    updates: int = 5000
    effort: float = 1.0
    most_images: int | None = None
    device: str = "cpu"


class Parts(NamedTuple):
    """The parts of a training set, as in `StudyDraw`."""

    labelled: ImageData
    pool: ImageData | None = None
    extra: ImageData | None = None


Split = Callable[[ImageData, int], Parts]


@dataclass(frozen=True)
class StudyDraw(Draw):
    """A draw of the study.

    Attributes:
        extra: more labelled images, which only a ceiling may use; None where there are none left.
        effort: as in `Budget`.
    """

    extra: ImageData | None = None
    effort: float = 1.0

    def shortened(self, usual: int) -> int:
        """The share `effort` of a usual number of updates or epochs, at least 1."""
        return max(1, round(usual * self.effort))

    def fit(self, data: ImageData, config: FitConfig) -> VAEModel:
        """A VAE of `data`, trained for the share `effort` of its epochs."""
        return fit_model(data, replace(config, epochs=self.shortened(config.epochs)))


@dataclass(frozen=True)
class StudyGroup(Group):
    """The methods of a regime on one draw.

    Attributes:
        effort, most_images: as in `Budget`.
    """

    effort: float = 1.0
    most_images: int | None = None

    def draw(self) -> StudyDraw:
        train, test = (some(data, self.most_images) for data in self.source.load(self.seed))
        labelled, pool, extra = self.split(train, self.seed)
        return StudyDraw(
            labelled, test, self.seed, pool, self.updates, self.device, extra, self.effort
        )


def some(data: ImageData, most: int | None) -> ImageData:
    """At most `most` of the images, always the same ones; None = all."""
    if most is None or len(data) <= most:
        return data
    return data.subset(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:most])


def balanced_accuracy(correct: torch.Tensor, labels: torch.Tensor) -> float:
    """The mean over the classes of the share of correct answers, in percent.

    Each class has the same weight.
    """
    return 100 * float(
        torch.stack([correct[labels == label].double().mean() for label in labels.unique()]).mean()
    )
