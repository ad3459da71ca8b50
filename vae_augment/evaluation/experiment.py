"""What a comparison is made of: a method trains the small classifier from one draw of labels, and that is one run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import nn

from ..errors import InputError
from ..training import ImageData
from ..training.data import to_float
from .classifier import Batch, Metric, View, accuracy, train_classifier, unchanged

CLASSICAL, WITH_VAE, CEILING, OTHER = "classical", "VAE", "ceiling", "other"
KINDS = (CLASSICAL, WITH_VAE, CEILING, OTHER)
NOTHING, LABELLED, POOL, FULL = "none", "labelled only", "pool", "full"
TRAINED_ON = (NOTHING, LABELLED, POOL, FULL)

T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """What every method may spend.

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
    """One random choice of labelled images, the same for all methods that are paired on it.

    Attributes:
        labelled: the images that methods may train on.
        test: the images that are scored, which no method may look at.
        seed: of everything random.
        budget: see `Budget`.
        pool: more images, all with the label -1; None where there are none.
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
    def with_pool(self) -> ImageData:
        """The labelled images and the pool, whose labels are -1."""
        return self.labelled if self.pool is None else join(self.labelled, self.pool)

    def on_device(self, data: ImageData) -> Batch:
        """Images as float in [0, 1] and labels, on the device of the budget."""
        return to_float(data.images.to(self.budget.device)), data.labels.to(self.budget.device)

    def vae_updates(self, usual: int) -> int:
        """The number of updates that a VAE is trained for here, where it is usually trained for `usual`."""
        return max(1, round(usual * self.budget.effort))

    def once(self, make: Callable[["Draw"], T]) -> T:
        """What `make` gives for this draw, made once and shared by all methods that ask for it, such as a VAE."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]


@dataclass(frozen=True)
class TrainingSet:
    """What the small classifier is trained on.

    Attributes:
        images, labels: [N, C, H, W] float in [0, 1] and [N].
        view: what is done to each batch, such as augmentation.
        seed_offset: added to the draw's seed: other weights and another order.
        earlier_updates: what the method spent before on classifiers of its own, such as a teacher.
    """

    images: torch.Tensor
    labels: torch.Tensor
    view: View = unchanged
    seed_offset: int = 0
    earlier_updates: int = 0


@dataclass(frozen=True)
class Trained:
    """A classifier that a method trained by itself, in evaluation mode on the budget's device, and in how many updates.

    It takes images [B, C, H, W] in [0, 1] and gives logits [B, classes].
    """

    model: nn.Module
    updates: int


@dataclass(frozen=True)
class Method:
    """One row of a table: a way to train the small classifier from a draw.

    Attributes:
        name: of the row.
        prepare: from a draw to what is trained on. A function of a module, or a `partial` of one, so that it can
            travel to another process.
        kind: "classical" (no VAE), "VAE", "ceiling" (sees more labels) or "other".
        trained_on: what its VAE has seen: "none", "labelled only", "pool" or "full".
    """

    name: str
    prepare: Callable[[Draw], TrainingSet | Trained]
    kind: str = CLASSICAL
    trained_on: str = NOTHING


@dataclass(frozen=True)
class Run:
    """One classifier that was trained and scored.

    Attributes:
        regime: the name of the situation, such as "10 labels".
        data: the name of the data set.
        method, kind, trained_on: as in `Method`.
        draw: the number of the draw of labels, which is the seed.
        updates: of classifiers, in all.
        accuracy: in percent.
        seconds: spent on it; a VAE that several methods share is counted in the first of them.
    """

    regime: str
    data: str
    method: str
    kind: str
    trained_on: str
    draw: int
    updates: int
    accuracy: float
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes a run the same as another one."""
        return self.regime, self.data, self.method, self.draw


def run_method(method: Method, draw: Draw, regime: str, data: str, metric: Metric = accuracy) -> Run:
    """Train and score one method on one draw; `regime` and `data` are the names under which it is noted."""
    start = time.monotonic()
    percent, updates = measure(method, draw, metric)
    return Run(
        regime=regime,
        data=data,
        method=method.name,
        kind=method.kind,
        trained_on=method.trained_on,
        draw=draw.seed,
        updates=updates,
        accuracy=round(percent, 4),
        seconds=round(time.monotonic() - start, 2),
    )


def measure(method: Method, draw: Draw, metric: Metric) -> tuple[float, int]:
    """Train and score one method on one draw: percent by `metric` on the test images, and the updates that it took."""
    torch.manual_seed(draw.seed)
    prepared = method.prepare(draw)
    trained = prepared if isinstance(prepared, Trained) else _trained(prepared, draw)
    return metric(trained.model, *draw.on_device(draw.test)), trained.updates


def check_device(device: str) -> None:
    """Raise `InputError` for a device that is not here."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"device is {device!r}; choose cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA device here. Use cpu.")


def join(first: ImageData, second: ImageData) -> ImageData:
    """Both one after the other, under the name and classes of the first."""
    images, labels = torch.cat([first.images, second.images]), torch.cat([first.labels, second.labels])
    return ImageData(first.name, images, labels, first.classes)


def _trained(made: TrainingSet, draw: Draw) -> Trained:
    model = train_classifier(
        made.images,
        made.labels,
        len(draw.labelled.classes),
        view=made.view,
        updates=draw.budget.updates,
        seed=draw.seed + made.seed_offset,
    )
    return Trained(model, draw.budget.updates + made.earlier_updates)
