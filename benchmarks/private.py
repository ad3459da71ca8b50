"""What a classifier learns from samples of a private fit, and from nothing else.

    python -m benchmarks.private mnist strokes RESULTS.jsonl --root DIR --epsilon 0.2 --epsilon 1 \
        --seed 0 --seed 1

Each seed is a fit, whose noise no seed repeats, 60,000 samples of it, and a `small_cnn` of 5,000
updates of 50 that is tested on the test images of DATA. Colour images are turned to grey, since the
bundled bases are grey. A line of RESULTS is one classifier; what
stands there already is not run again. Nothing is chosen on the test images.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from torchvision.transforms.functional import rgb_to_grayscale

from benchmarks.common import Row, add_line, is_there, read_lines
from vae_augment import VAESyntheticDataset, load
from vae_augment.evaluation.classifier import accuracy, identity, train_classifier
from vae_augment.evaluation.intervals import estimate
from vae_augment.exporters import export
from vae_augment.privacy.private_fit import fit_private
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float
from vae_augment.transforms.distortions import affine

SAMPLES = 60_000
DELTA = 1e-5  # that of the published figures
DISTORTIONS = {"none": identity, "affine": affine}


def main(
    data: str,
    base: str,
    results: Path,
    epsilon: Annotated[list[float], typer.Option()],
    seed: Annotated[list[int], typer.Option()],
    test: Annotated[str | None, typer.Option(help="The test images; None = those of DATA.")] = None,
    root: Path | None = None,
    distort: Annotated[str, typer.Option(help="The classifier's: none or affine.")] = "none",
    updates: int = 5_000,
) -> None:
    private = in_grey(load_data(data, root))
    unseen = in_grey(load_data(test or data, root, train=False))
    for each_seed in seed:
        for each_epsilon in epsilon:
            row: Row = {
                "data": private.name,
                "base": Path(base).stem,
                "epsilon": each_epsilon,
                "delta": DELTA,
                "distort": distort,
                "updates": updates,
                "seed": each_seed,
            }
            if not is_there(read_lines(results), row):
                add_line(results, row | measure(private, unseen, base, row))
    print("\n".join(table(read_lines(results))))


def table(rows: Sequence[Row]) -> list[str]:
    """The rows of docs/privacy.md: the mean and a 95 % interval over the seeds."""
    groups: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        key = (row["data"], row["base"], row["epsilon"])
        groups.setdefault(key, []).append(row["accuracy"])
    return [
        f"| {data} | `{base}` | {epsilon:g} | {_interval(found)} | {len(found)} |"
        for (data, base, epsilon), found in sorted(groups.items())
    ]


def _interval(values: Sequence[float]) -> str:
    return str(estimate(values)).removeprefix("+")


def in_grey(data: ImageData) -> ImageData:
    if data.image_shape[0] == 1:
        return data
    return replace(data, name=f"{data.name} in grey", images=rgb_to_grayscale(data.images))


def measure(private: ImageData, unseen: ImageData, base: str, row: Row) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "private.safetensors")
        start = time.perf_counter()
        fit_private(private, checkpoint, epsilon=row["epsilon"], delta=DELTA, public=base)
        seconds = time.perf_counter() - start
        export(checkpoint, Path(folder, "private.onnx"))
        model = load(Path(folder, "private.onnx"), provider="cpu")
        made = VAESyntheticDataset(model, SAMPLES, seed=row["seed"], output="uint8")
        images, labels = (torch.cat(rows) for rows in zip(*made.batches(1000), strict=True))
    classifier = train_classifier(
        to_float(images),
        labels,
        len(private.classes),
        distort=DISTORTIONS[row["distort"]],
        updates=row["updates"],
        seed=row["seed"],
    )
    correct = accuracy(classifier, to_float(unseen.images), unseen.labels)
    return {"accuracy": round(correct, 2), "fit_seconds": round(seconds, 1)}


if __name__ == "__main__":
    typer.run(main)
