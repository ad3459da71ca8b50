"""What a classifier learns from a model's samples, with real images beside them or without.

    python -m benchmarks.samples mnist mnist DIR
    python -m benchmarks.samples MODEL DATA DIR --updates 20000 --kinds real samples both

MODEL is a model of all training images of DATA; DIR holds torchvision's data sets. A seed gives
60,000 samples, all classes in turn, and a small CNN that learns from them alone ("samples"), from
the training images ("real"), or from the two together ("both"). What the results have is not
measured again. At the end, the differences from real images are printed with 95 % intervals.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.common import RESULTS, Row, add_line, is_there, read_lines, seed_range
from vae_augment import VAEModel, VAESyntheticDataset, load
from vae_augment.evaluation.classifier import Batch, accuracy, train_classifier
from vae_augment.evaluation.intervals import Estimate, paired
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float

FILE = RESULTS / "samples.jsonl"
KINDS = ("real", "samples", "both")
SAMPLES = 60_000
Key = tuple[str, int, str, str]  # data, updates, kind and digest of the model


def training_batch(kind: str, model: VAEModel, data: ImageData, seed: int) -> Batch:
    """Images in 256 grey levels, [N, C, H, W] in [0, 1], and their labels [N]."""
    batches = []
    if kind != "real":
        samples = VAESyntheticDataset(model, SAMPLES, seed=seed, output="uint8")
        batches += [*samples.batches(1000)]
    if kind != "samples":
        batches.append((data.images, data.labels))
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    return to_float(images), labels


def measured(row: Row, model: VAEModel, data: ImageData, test: ImageData) -> float:
    """The accuracy in percent of the classifier that `row` describes."""
    images, labels = training_batch(row["kind"], model, data, row["seed"])
    classes = len(data.classes)
    found = train_classifier(images, labels, classes, updates=row["updates"], seed=row["seed"])
    return round(accuracy(found, to_float(test.images), test.labels), 2)


def by_key(rows: Sequence[Row]) -> dict[Key, dict[int, float]]:
    """Accuracies by seed, for each kind of classifier."""
    found: dict[Key, dict[int, float]] = defaultdict(dict)
    for row in rows:
        key = (row["data"], row["updates"], row["kind"], row["model"])
        found[key][row["seed"]] = row["accuracy"]
    return dict(found)


def differences(rows: Sequence[Row]) -> dict[Key, Estimate]:
    """Each kind minus real images, on the seeds of both."""
    accuracies = by_key(rows)
    found = {}
    for key, values in sorted(accuracies.items()):
        data, updates, kind, _ = key
        difference = paired(values, accuracies.get((data, updates, "real", ""), {}))
        if kind != "real" and difference is not None:
            found[key] = difference
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an .onnx file")
    parser.add_argument("data", help="as for fit")
    parser.add_argument("root", help="folder of torchvision's data sets")
    parser.add_argument("--seeds", type=seed_range, default=range(5), help="FIRST:END")
    parser.add_argument("--updates", type=int, default=5000, help="of the classifier")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=("real", "samples"))
    parser.add_argument("--results", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    model = load(options.model)
    data = load_data(options.data, options.root)
    test = load_data(options.data, options.root, train=False)
    for seed in options.seeds:
        for kind in options.kinds:
            row = {"data": options.data, "kind": kind, "seed": seed, "updates": options.updates}
            row["model"] = "" if kind == "real" else model.sha256
            if not is_there(read_lines(options.results), row):
                row["accuracy"] = measured(row, model, data, test)
                add_line(options.results, row)
                print(f"{kind}, seed {seed}: {row['accuracy']} %", flush=True)
    for (name, updates, kind, digest), difference in differences(
        read_lines(options.results)
    ).items():
        print(f"{name}, {updates:,} updates, {kind} of {digest[:8]} minus real: {difference}")


if __name__ == "__main__":
    main()
