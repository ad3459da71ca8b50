"""What a classifier learns from a model's samples alone, beside what it learns from the images."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..arguments import whole_number
from ..errors import InputError
from ..model.evidence import PRIVACY
from ..model.vae_model import VAEModel
from ..training import ImageData
from ..training.progress import is_hidden
from .intervals import Estimate, paired, with_test_noise
from .sample_advice import advise
from .sample_bench import SampleBench
from .splits import shuffled_classes

SEEDS = range(3)
# Of each classifier: all of them take less than two minutes of two cores without matrix units.
UPDATES = 800

KEPT_SHARE = 0.2  # of each class, for the figure
MOST_KEPT = 2_000  # images; more would narrow the interval little
FEWEST_KEPT = 100  # images; the interval of fewer spans ten points and more
SMALLEST_CLASS = 5  # images, of which one can be kept

FAR_BEHIND = 3.0  # points that samples lose to images

logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Images to train a model on, and others that its figure is measured on."""

    train: ImageData
    test: ImageData


@dataclass(frozen=True)
class SamplesOnly:
    """Accuracies in percent of a small classifier, by seed, on images that the model never saw.

    Attributes:
        samples: where it learned from samples alone.
        real: where it learned from the training images.
        difference: samples minus real.
        updates: of each classifier, of 50 images.
        test_images: how many it was scored on.
        advice: what would help, where samples fall far behind; else empty.
        private: whether the model has an epsilon, which this figure is outside of.
    """

    samples: Mapping[int, float]
    real: Mapping[int, float]
    difference: Estimate
    updates: int
    test_images: int
    advice: str = ""
    private: bool = False

    def to_evidence(self) -> dict[str, Any]:
        """The entry "samples_only" of a file's evidence: plain numbers and a sentence."""
        return {
            "samples": _mean(self.samples),
            "real": _mean(self.real),
            "difference": difference_of(self.difference),
            "classifier": "strided_cnn",
            "updates": self.updates,
            "seeds": sorted(self.samples),
            "test_images": self.test_images,
            "advice": self.advice,
            "private": self.private,
        }


def difference_of(found: Estimate) -> list[float | None]:
    """A difference and half its interval as JSON-ready values; None where one seed gives none."""
    half_width = round(found.half_width, 4) if math.isfinite(found.half_width) else None
    return [round(found.mean, 4), half_width]


def keep_for_test(data: ImageData, seed: int = 0) -> Split | None:
    """A fifth of each class, but at most 2,000 images, kept out of training for the figure.

    Classes of fewer than 5 images keep all of theirs to train on, and so do images without a label.
    None where fewer than 100 images would be kept.
    """
    labelled = int((data.labels >= 0).sum())
    share = min(KEPT_SHARE, MOST_KEPT / max(1, labelled))
    chosen = [torch.zeros(0, dtype=torch.int64)]
    for rows in shuffled_classes(data, seed):
        count = round(share * len(rows)) if len(rows) >= SMALLEST_CLASS else 0
        chosen.append(rows[:count])
    kept = torch.cat(chosen).sort().values
    if len(kept) < FEWEST_KEPT:
        return None
    is_kept = torch.zeros(len(data), dtype=torch.bool)
    is_kept[kept] = True
    return Split(data.subset((~is_kept).nonzero()[:, 0]), data.subset(kept))


def measure_samples_only(
    model: VAEModel,
    train: ImageData,
    test: ImageData,
    *,
    updates: int = UPDATES,
    seeds: Sequence[int] = SEEDS,
) -> SamplesOnly:
    """Train a small classifier on samples alone and on the training images, and score both.

    Both see their images reduced to at most 32 pixels a side, and take the same number of updates.
    Samples come in the proportions of the training images' classes.

    Args:
        model: a model that draws images of classes.
        train: the images that it was trained on.
        test: images of the same classes that it was not trained on; nothing is chosen on them.
        updates: of each classifier, of 50 images.
        seeds: of the classifiers and of the samples; one of each kind for each.

    Raises:
        InputError: the model draws no classes, or images or classes are not those of the model.
    """
    whole_number("updates", updates, 1, bits=17)
    _check(model, train, test)
    train = _labelled(train)
    test = _labelled(test)
    logger.info(
        f"a small classifier learns from samples alone and from the {len(train)} training images: "
        f"{updates:,} updates, {len(seeds)} seeds, {len(test)} images to test on"
    )
    bench = SampleBench(model, train, test, updates)
    scores: dict[tuple[str, int], NDArray[np.bool_]] = {}
    runs = [(kind, seed) for seed in seeds for kind in ("samples", "real")]
    for kind, seed in tqdm(runs, "measuring samples", unit="classifier", disable=is_hidden()):
        batch = bench.samples(seed) if kind == "samples" else bench.real
        scores[kind, seed] = bench.correct(batch, seed)
    samples, real = (
        {seed: 100 * float(scores[kind, seed].mean()) for seed in seeds}
        for kind in ("samples", "real")
    )
    found = paired(samples, real)
    assert found is not None  # the seeds are the same
    difference = with_test_noise(found, [("samples", "real", seed) for seed in seeds], scores)
    advice = ""
    if difference.mean < -FAR_BEHIND:
        advice = advise(bench, samples[seeds[0]], real[seeds[0]], seeds[0])
    private = PRIVACY in model.spec.evidence
    return SamplesOnly(samples, real, difference, updates, len(test), advice, private)


def _check(model: VAEModel, train: ImageData, test: ImageData) -> None:
    if not model.spec.generates_classes or len(model.spec.classes) < 2:
        raise InputError(
            f"The model {model.name!r} draws no images of classes, so no classifier learns from "
            "its samples. Give one that was trained on labelled images of two classes or more."
        )
    for data in (train, test):
        if data.classes != model.spec.classes or data.image_shape != model.spec.image_shape:
            raise InputError(
                f"{data.name} has images {data.image_shape} of {len(data.classes)} classes; the "
                f"model {model.name!r} draws {model.spec.image_shape} of "
                f"{len(model.spec.classes)}. Give images like those that it was trained on."
            )
        if not (data.labels >= 0).any():
            raise InputError(f"{data.name} has no labels, which a classifier learns. Give some.")


def _labelled(data: ImageData) -> ImageData:
    return data.subset((data.labels >= 0).nonzero()[:, 0])


def _mean(accuracies: Mapping[int, float]) -> float:
    return round(sum(accuracies.values()) / len(accuracies), 4)
