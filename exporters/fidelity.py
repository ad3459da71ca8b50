"""What a reduced precision changes: the pixels, a classifier's labels, the speed on this machine."""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..modelfile import ModelFile
from ..runtime import VAEModel
from ..training import ImageData
from ..training.data import to_float

IMAGES = 10_000
TRAINING_IMAGES = 2_000  # of the fixed classifier
SPEED_BATCHES = (1, 32, 256)
_CHUNK = 500


@dataclass(frozen=True)
class FidelityReport:
    """A file of reduced precision against the float32 one, both perturbing the same images with the same noise.

    Attributes:
        psnr: peak signal-to-noise ratio of the perturbed images, in dB.
        changed: how many labels a logistic regression gives differently; None without labels to train it on.
        images: how many images that is of.
        speed: batch size -> how many times as fast, on one thread.
    """

    precision: str
    psnr: float
    changed: int | None
    images: int
    speed: dict[int, float]

    def table(self) -> str:
        """The figures as lines of text."""
        speed = ", ".join(f"{factor:.2f}x at batch {batch}" for batch, factor in self.speed.items())
        changed = "no labels to tell" if self.changed is None else f"{self.changed:,} of {self.images:,}"
        return (
            f"{self.precision} against fp32, over {self.images:,} perturbed images\n"
            f"  PSNR                      {self.psnr:.1f} dB\n"
            f"  labels that change        {changed} (logistic regression)\n"
            f"  speed, one thread         {speed}"
        )


def reference_images(file: ModelFile, data: ImageData | None, count: int) -> tuple[Tensor, Tensor | None]:
    """`count` images, float32 in [0, 1], and their labels: those of `data` over and over, or the model's own samples.

    Labels are None when there are no classes.
    """
    if data is None:
        return VAEModel(file, provider="cpu").sample(count)
    rows = torch.arange(count) % len(data)
    return to_float(data.images[rows]), data.labels[rows] if data.classes else None


def measure_fidelity(full: ModelFile, reduced: ModelFile, precision: str, data: ImageData | None) -> FidelityReport:
    """Compare `reduced` with `full` on `data`, or on the model's own samples."""
    images, labels = reference_images(full, data, IMAGES)
    models = [VAEModel(file, provider="cpu", threads=1) for file in (full, reduced)]
    classify = _classifier(images[:TRAINING_IMAGES], labels)
    squares, changed = 0.0, 0
    for expected, actual in _perturbed(models, images):
        squares += (expected - actual).square().sum().item()
        changed += int((classify(expected) != classify(actual)).sum())
    mean_square = squares / images.numel()
    return FidelityReport(
        precision,
        psnr=-10 * math.log10(mean_square) if mean_square else math.inf,
        changed=None if labels is None else changed,
        images=IMAGES,
        speed={batch: _speed(models, images[:batch]) for batch in SPEED_BATCHES},
    )


def _inputs(model: VAEModel, images: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(images), model.spec.latent_dim, generator=generator)
    return {"image": images, "noise": noise, "strength": torch.ones(len(images))} | model.label_input(None, len(images))


def _perturbed(models: list[VAEModel], images: Tensor) -> Iterator[list[Tensor]]:
    for chunk in images.split(_CHUNK):
        yield [model.run("whole", _inputs(model, chunk))[0] for model in models]


def _classifier(images: Tensor, labels: Tensor | None) -> Callable[[Tensor], Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known = torch.zeros(len(images), dtype=torch.bool) if labels is None else labels[: len(images)] >= 0
    if labels is None or len(labels[: len(images)][known].unique()) < 2:
        return lambda batch: torch.zeros(len(batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=50).fit(images[known].flatten(1), labels[: len(images)][known])
    return lambda batch: model.predict(batch.flatten(1))


def _speed(models: list[VAEModel], images: Tensor) -> float:
    full, reduced = [], []
    for _ in range(15):  # by turns, so that a busy machine slows both alike
        full.append(_seconds(models[0], images))
        reduced.append(_seconds(models[1], images))
    return statistics.median(full) / statistics.median(reduced)


def _seconds(model: VAEModel, images: Tensor) -> float:
    inputs = _inputs(model, images)
    start = time.thread_time()  # not the clock, which on a busy machine counts the waiting too
    for _ in range(max(1, 64 // len(images))):
        model.run("whole", inputs)
    return time.thread_time() - start
