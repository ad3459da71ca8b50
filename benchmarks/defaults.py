"""Which settings of `VAEAugment` do the least harm: what its defaults were chosen by.

    python -m benchmarks.defaults DIR    # adds what results/defaults.jsonl lacks; prints a table

DIR holds MNIST/raw, FashionMNIST/raw and symbols/. A VAE of the labelled images alone, 10 and 100
labels per class, a classifier of half the usual width for 1,500 updates, after the best distortion
of such images; with seed 100, which no figure reports.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.common import RESULTS, Row, add_line, is_there, read_lines, source
from vae_augment import VAEAugment
from vae_augment.evaluation.classifier import Distort, accuracy, train_classifier
from vae_augment.evaluation.repetition import Repetition
from vae_augment.evaluation.report import markdown
from vae_augment.evaluation.splits import choose_labels
from vae_augment.evaluation.vaes import labelled_vae
from vae_augment.transforms.distortions import flip_shift, thickness_affine_elastic

FILE = RESULTS / "defaults.jsonl"
ALONE = "distortion alone"
SETTINGS: dict[str, dict[str, Any] | None] = {
    ALONE: None,
    "residual=False, strength=1": {"residual": False, "strength": 1.0, "unit": 1.0},
    "residual=True, strength=1": {"residual": True, "strength": 1.0, "unit": 1.0},
    "residual=True, strength=3": {"residual": True, "strength": 3.0, "unit": 1.0},
}
DATA = ("mnist", "fashion-mnist", "symbols")
LABELS_PER_CLASS = (10, 100)
SEED = 100
UPDATES = 1500


def measure(root: Path, results: Path) -> None:
    """Add a row to `results` for each run that it lacks."""
    for data in DATA:
        train, test = source(data, root).load().for_seed(SEED)
        for per_class in LABELS_PER_CLASS:
            labelled = choose_labels(train, SEED, per_class).labelled
            images = Repetition(labelled, test, SEED, updates=UPDATES)
            for setting in SETTINGS:
                row = {"data": data, "labels_per_class": per_class, "setting": setting}
                if not is_there(read_lines(results), row):
                    add_line(results, row | {"seed": SEED, "accuracy": measured(images, row)})


def measured(images: Repetition, row: Row) -> float:
    """The accuracy in percent of a classifier of half the usual width."""
    train_images, train_labels = images.labelled_batch()
    found = train_classifier(
        train_images,
        train_labels,
        len(images.labelled.classes),
        distort=augmentation(images, row),
        updates=images.updates,
        seed=images.seed,
        network=half_cnn,
    )
    return round(accuracy(found, *images.on_device(images.test)), 4)


def augmentation(images: Repetition, row: Row) -> Distort:
    """The best distortion of these images, and `VAEAugment` after it."""
    distort = flip_shift if row["data"] == "fashion-mnist" else thickness_affine_elastic
    settings = SETTINGS[row["setting"]]
    if settings is None:
        return distort
    perturb = VAEAugment(images.vae(labelled_vae), p=0.5, **settings)
    return lambda batch: perturb(distort(batch))


def half_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """`small_cnn` with half the channels and less dropout: a quarter of the multiplications."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, classes),
    )


def table(rows: Sequence[Row]) -> str:
    """Points of accuracy against the distortion alone; the table of docs/modes/residual.md."""
    found = {
        (row["data"], row["labels_per_class"], row["setting"]): row["accuracy"] for row in rows
    }
    lines = []
    for data in DATA:
        for count in LABELS_PER_CLASS:
            alone = found[data, count, ALONE]
            gains = [found[data, count, each] - alone for each in SETTINGS if each != ALONE]
            lines.append([f"{data}, {count}", *(f"{gain:+.2f}" for gain in gains)])
    return markdown(
        ["images, labels per class", *(name for name in SETTINGS if name != ALONE)], lines
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder of the data sets")
    parser.add_argument("--results", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    measure(options.root, options.results)
    print(table(read_lines(options.results)))


if __name__ == "__main__":
    main()
