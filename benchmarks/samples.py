"""What a classifier learns from a model's samples, with real images beside them or without.

    python -m benchmarks.samples mnist mnist DIR
    python -m benchmarks.samples MODEL DATA DIR --updates 20000 --kinds real samples both
    python -m benchmarks.samples MODEL TRAIN.npz --test TEST.npz --labels real

MODEL is a model of all training images of DATA; DIR holds torchvision's data sets. A seed gives
60,000 samples, all classes in turn or in the proportions of the training images (--labels real),
and a classifier that learns from them alone ("samples"), from the training images ("real"), or from
the two together ("both"). What the results have is not measured again: a model is known by the
digest of its weights and latents. At the end, the differences from real images are printed with
95 % intervals.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.classifiers import CLASSIFIERS
from benchmarks.common import RESULTS, Row, add_line, is_there, read_lines, seed_range
from vae_augment import VAEModel, VAESyntheticDataset, load
from vae_augment.evaluation.classifier import Batch, accuracy, train_classifier
from vae_augment.evaluation.intervals import Estimate, paired
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float

FILE = RESULTS / "samples.jsonl"
KINDS = ("real", "samples", "both")
LABELS = ("balanced", "real")
SAMPLES = 60_000
Key = tuple[str, int, str, str, str]  # data, updates, classifier, kind and digest of the model


def training_batch(kind: str, model: VAEModel, data: ImageData, seed: int, drawn: str) -> Batch:
    """Images in 256 grey levels, [N, C, H, W] in [0, 1], and their labels [N]."""
    batches = []
    if kind != "real":
        samples = VAESyntheticDataset(
            model, SAMPLES, labels=labels_to_draw(data, seed, drawn), seed=seed, output="uint8"
        )
        batches += [*samples.batches(1000)]
    if kind != "samples":
        batches.append((data.images, data.labels))
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    return to_float(images), labels


def labels_to_draw(data: ImageData, seed: int, labels: str) -> str | list[int]:
    """All classes in turn, or the labels of the training images in a random order."""
    if labels == "balanced":
        return labels
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    drawn: list[int] = data.labels[order].tolist()
    return drawn


def measured(row: Row, model: VAEModel, data: ImageData, test: ImageData) -> float:
    """The accuracy in percent of the classifier that `row` describes."""
    images, labels = training_batch(row["kind"], model, data, row["seed"], row["labels"])
    found = train_classifier(
        images,
        labels,
        len(data.classes),
        updates=row["updates"],
        seed=row["seed"],
        network=CLASSIFIERS[row["classifier"]],
    )
    return round(accuracy(found, to_float(test.images), test.labels), 2)


def by_key(rows: Sequence[Row]) -> dict[Key, dict[int, float]]:
    """Accuracies by seed, for each kind of classifier."""
    found: dict[Key, dict[int, float]] = defaultdict(dict)
    for row in rows:
        key = (row["data"], row["updates"], row["classifier"], row["kind"], row["model"])
        found[key][row["seed"]] = row["accuracy"]
    return dict(found)


def differences(rows: Sequence[Row]) -> dict[Key, Estimate]:
    """Each kind minus real images, on the seeds of both."""
    accuracies = by_key(rows)
    found = {}
    for key, values in sorted(accuracies.items()):
        data, updates, classifier, kind, _ = key
        real = accuracies.get((data, updates, classifier, "real", ""), {})
        difference = paired(values, real)
        if kind != "real" and difference is not None:
            found[key] = difference
    return found


def add_missing(
    model: VAEModel, data: ImageData, test: ImageData, rows: Sequence[Row], results: Path
) -> None:
    """Measure and add those of `rows` that the results lack."""
    for row in rows:
        if not is_there(read_lines(results), row):
            accuracy = measured(row, model, data, test)
            add_line(results, row | {"accuracy": accuracy})
            print(
                f"{row['classifier']}, {row['kind']}, seed {row['seed']}: {accuracy} %", flush=True
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name or an .onnx file")
    parser.add_argument("data", help="as for fit")
    parser.add_argument("root", nargs="?", help="folder of torchvision's data sets")
    parser.add_argument("--test", help="test images, where DATA has none of its own")
    parser.add_argument("--seeds", type=seed_range, default=range(5), help="FIRST:END")
    parser.add_argument("--updates", type=int, default=5000, help="of the classifier")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=("real", "samples"))
    parser.add_argument("--classifier", choices=CLASSIFIERS, default="small_cnn")
    parser.add_argument("--labels", choices=LABELS, default="balanced")
    parser.add_argument("--results", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    model = load(options.model)
    data = load_data(options.data, options.root)
    test = load_data(options.test or options.data, options.root, train=False)
    same = {
        "data": data.name,
        "updates": options.updates,
        "classifier": options.classifier,
        "labels": options.labels,
    }
    rows = []
    for seed in options.seeds:
        for kind in options.kinds:
            digest = "" if kind == "real" else model.weights_sha256
            rows.append({"kind": kind, "seed": seed, "model": digest, **same})
    add_missing(model, data, test, rows, options.results)
    for key, difference in differences(read_lines(options.results)).items():
        name, updates, classifier, kind, digest = key
        print(
            f"{name}, {classifier}, {updates:,} updates, {kind} of {digest[:8]} minus real: "
            f"{difference}"
        )


if __name__ == "__main__":
    main()
