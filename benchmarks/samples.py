"""What a classifier learns from a model's samples, with real images beside them or without.

    python -m benchmarks.samples MODEL DATA DIR RESULTS.jsonl --draws 0:5 python -m
    benchmarks.samples MODEL DATA DIR RESULTS.jsonl --draws 0:5 --updates 20000 --kinds real samples
    both

MODEL is a model file of all training images of DATA, torchvision's data sets are in DIR. A draw is
a seed: of 60,000 samples, all classes in turn, and of a small CNN that learns from them alone
("samples"), from the training images ("real"), or from the two together ("both"). A line of RESULTS
is one classifier; what stands there already is not run again. At the end the differences between
draws of the same seed are printed, with their 95 % interval.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.benefit.__main__ import numbers
from benchmarks.common import machine
from vae_augment import VAEModel, VAESyntheticDataset, load
from vae_augment.evaluation.classifier import accuracy, train_classifier
from vae_augment.evaluation.report import paired
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float

KINDS = ("real", "samples", "both")
SAMPLES = 60_000


def images_of(kind: str, model: VAEModel, data: ImageData, seed: int) -> tuple[Tensor, Tensor]:
    """Images in 256 grey levels, [N, C, H, W] in [0, 1], and their labels."""
    batches = (
        []
        if kind == "real"
        else [*VAESyntheticDataset(model, SAMPLES, seed=seed, output="uint8").batches(1000)]
    )
    if kind != "samples":
        batches.append((data.images, data.labels))
    images, labels = (torch.cat(rows) for rows in zip(*batches, strict=True))
    return to_float(images), labels


def measure(
    model: VAEModel, data: ImageData, test: ImageData, row: dict[str, Any]
) -> dict[str, Any]:
    """`row` with the accuracy of one classifier, in percent, and the machine."""
    images, labels = images_of(row["kind"], model, data, row["draw"])
    found = train_classifier(
        images, labels, len(data.classes), updates=row["updates"], seed=row["draw"]
    )
    return (
        row
        | {"accuracy": round(accuracy(found, to_float(test.images), test.labels), 2)}
        | machine()
    )


def read(results: Path) -> list[dict[str, Any]]:
    """The lines of `results`, none where there is no file."""
    return (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )


def differences(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each data set, model, number of updates and kind against the real images of the same draws."""
    found: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    for row in rows:
        found[row["data"], row["updates"], row["kind"], row["model"]][row["draw"]] = row["accuracy"]
    lines = []
    for (data, updates, kind, model), accuracies in sorted(found.items()):
        apart = paired(accuracies, found.get((data, updates, "real", ""), {}))
        if apart is not None and kind != "real":
            lines.append(f"{data}, {updates:,} updates, {kind} of {model[:8]} minus real: {apart}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("root")
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--draws", type=numbers, default=range(100, 101), help="FIRST:END, END not included"
    )
    parser.add_argument("--updates", type=int, default=5000, help="of the classifier")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=("real", "samples"))
    options = parser.parse_args()
    model, data = load(options.model), load_data(options.data, options.root)
    test = load_data(options.data, options.root, train=False)
    rows = read(options.results)
    for draw in options.draws:
        for kind in options.kinds:
            row = {"data": options.data, "kind": kind, "draw": draw, "updates": options.updates}
            row |= {"model": "" if kind == "real" else model.sha256}
            if any(row.items() <= known.items() for known in rows):
                continue
            row = measure(model, data, test, row)
            print(f"{kind}, draw {draw}: {row['accuracy']} %", flush=True)
            with options.results.open("a") as file:
                print(json.dumps(row), file=file)
            rows.append(row)
    print("\n".join(differences(rows)))


if __name__ == "__main__":
    main()
