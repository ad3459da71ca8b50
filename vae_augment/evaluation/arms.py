"""What an arm of a comparison is: a way to train the small classifier from one draw of labels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import nn

from ..training import ImageData
from ..training.data import to_float
from .classifier import Batch, Metric, View, train_classifier, unchanged

CLASSICAL, WITH_VAE, CEILING, OTHER = KINDS = ("classical", "VAE", "ceiling", "other")
DIGITS, GARMENTS = ("mnist", "digits"), ("fashion-mnist",)  # data sets with arms of their own
NOTHING, LABELLED, POOL, FULL = TRAINED_ON = ("none", "labelled only", "pool", "full")

T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """What every arm may spend.

    Attributes:
        updates: of the classifier, of 50 images each.
        effort: share of the usual number of updates that a VAE is trained for; below 1 for trials.
        most_images: how many training and test images are looked at, for trials; None = all.
        device: "cpu" or "cuda".
    """

    updates: int = 5000
    effort: float = 1.0
    most_images: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Draw:
    """One draw of labels, the same for all arms that are paired on it.

    Attributes:
        labelled: the images that arms may train on.
        test: the images that are scored, which no arm may look at.
        seed: of everything random.
        budget: see `Budget`.
        pool: more images, all with the label -1; None where the regime has none.
        extra: more labelled images, which only a ceiling may look at; None where there are none left.
    """

    labelled: ImageData
    test: ImageData
    seed: int
    budget: Budget
    pool: ImageData | None = None
    extra: ImageData | None = None
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def real(self) -> Batch:
        """The labelled images [N, C, H, W], float in [0, 1], and their labels [N], on the device."""
        return self.on_device(self.labelled)

    @cached_property
    def unlabelled_too(self) -> ImageData:
        """The labelled images and the pool, whose labels are -1."""
        return self.labelled if self.pool is None else join(self.labelled, self.pool)

    def on_device(self, data: ImageData) -> Batch:
        """Images as float in [0, 1] and labels, on the device of the budget."""
        return to_float(data.images.to(self.budget.device)), data.labels.to(self.budget.device)

    def vae_updates(self, usual: int) -> int:
        """The number of updates that a VAE is trained for here, where it is usually trained for `usual`."""
        return max(1, round(usual * self.budget.effort))

    def once(self, make: Callable[["Draw"], T]) -> T:
        """What `make` gives for this draw, made once and shared by all arms that ask for it, such as a VAE."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]


@dataclass(frozen=True)
class Recipe:
    """What the small classifier is trained on.

    Attributes:
        images, labels: [N, C, H, W] float in [0, 1] and [N].
        view: what is done to each batch, such as augmentation.
        seed_offset: added to the draw's seed: other weights and another order.
        earlier_updates: what the arm spent before on classifiers of its own, such as a teacher.
    """

    images: torch.Tensor
    labels: torch.Tensor
    view: View = unchanged
    seed_offset: int = 0
    earlier_updates: int = 0


@dataclass(frozen=True)
class Trained:
    """A classifier that an arm trained by itself, in evaluation mode on the budget's device, and in how many updates.

    It takes images [B, C, H, W] in [0, 1] and gives logits [B, classes].
    """

    model: nn.Module
    updates: int


@dataclass(frozen=True)
class Arm:
    """One column of a table. A new one is a function from `Draw` to `Recipe` and one line in `regimes`.

    Attributes:
        name: of the column.
        recipe: what it does with a draw. A function of a module, or a `partial` of one, so that it can travel to
            another process.
        kind: "classical" (no VAE, the bar), "VAE", "ceiling" (sees more labels) or "other".
        trained_on: what its VAE has seen: "none", "labelled only", "pool" or "full".
        data: the data sets that it is for; empty = all.
    """

    name: str
    recipe: Callable[[Draw], Recipe | Trained]
    kind: str = CLASSICAL
    trained_on: str = NOTHING
    data: tuple[str, ...] = ()


def measure(arm: Arm, draw: Draw, metric: Metric) -> tuple[float, int]:
    """Train and score one arm on one draw: percent by `metric` on the test images, and the updates that it took."""
    torch.manual_seed(draw.seed)
    made = arm.recipe(draw)
    trained = made if isinstance(made, Trained) else _trained(made, draw)
    return metric(trained.model, *draw.on_device(draw.test)), trained.updates


def _trained(recipe: Recipe, draw: Draw) -> Trained:
    model = train_classifier(
        recipe.images,
        recipe.labels,
        len(draw.labelled.classes),
        view=recipe.view,
        updates=draw.budget.updates,
        seed=draw.seed + recipe.seed_offset,
    )
    return Trained(model, draw.budget.updates + recipe.earlier_updates)


def join(first: ImageData, second: ImageData) -> ImageData:
    """Both one after the other, under the name and classes of the first."""
    images, labels = torch.cat([first.images, second.images]), torch.cat([first.labels, second.labels])
    return ImageData(first.name, images, labels, first.classes)
