"""What redrawing adds where most images have no label: FixMatch with `glyphs` and without.

    python -m benchmarks.consistency measure DIR
    python -m benchmarks.consistency table

DIR holds MNIST/raw and symbols/. A classifier learns from a few labelled images and from all
training images without their labels: where it is sure of one, it has to give the same answer to a
view of it (Sohn et al., "FixMatch", 2020). A method is how labelled images and views are distorted.
`glyphs` redraws half of the labelled images and all views, at strength 3.
What results/consistency.jsonl has is not measured again. Settings were chosen on draws 0 and 1 of
MNIST's labels; the table is of draws from 100 on. A classifier takes two minutes and a half of one
core.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from benchmarks.common import RESULTS, Row, add_line, lacking, read_lines, source
from vae_augment import VAEAugment, load
from vae_augment.evaluation.classifier import (
    BATCH,
    Batch,
    Distort,
    accuracy,
    logits,
    small_cnn,
    train_classifier,
)
from vae_augment.evaluation.intervals import paired
from vae_augment.evaluation.report import markdown
from vae_augment.evaluation.splits import choose_labels
from vae_augment.training.data.image_data import to_float
from vae_augment.transforms.distortions import affine, thickness_affine_elastic

FILE = RESULTS / "consistency.jsonl"
UPDATES = 1500  # of each classifier
UNLABELLED = 150  # images of an update, beside those with a label
THRESHOLD = 0.95  # of the probability from which an answer counts
FIRST_SEED = 100
SETTINGS = ((1, "mnist", 5), (1, "symbols", 5))  # labels per class, images, draws
ALONE = "affine, labelled images alone"
BASE = "affine"
REDRAWN = "redrawn+affine"
HEAD = ["images", "draws", "method", "%", "minus affine", "redrawn minus it"]


class Way(NamedTuple):
    """How labelled images are distorted, and unlabelled ones; None = those are not used."""

    labelled: Distort
    view: Distort | None = None


app = typer.Typer(add_completion=False)


@app.command()
def measure(
    root: Annotated[Path, typer.Argument(metavar="DIR")],
    seeds: Annotated[int | None, typer.Option(help="Fewer than all.")] = None,
) -> None:
    """Add the rows that the results lack."""
    ways: dict[str, Way] = {
        ALONE: Way(affine),
        BASE: Way(affine, affine),
        "thickness+affine+elastic": Way(thickness_affine_elastic, thickness_affine_elastic),
        REDRAWN: Way(redrawn(0.5), redrawn(1.0)),
    }
    for labels, data, draws in SETTINGS:
        for seed in range(FIRST_SEED, FIRST_SEED + (seeds or draws)):
            same: Row = {"data": data, "labels": labels, "seed": seed}
            missing = lacking(FILE, [same | {"method": name} for name in ways])
            if not missing:
                continue
            train, test = source(data, root).load().for_seed(seed)
            few, _ = choose_labels(train, seed, labels)
            labelled = to_float(few.images), few.labels
            test_images = to_float(test.images)
            for row in missing:
                way = ways[row["method"]]
                model = trained(labelled, train.images, len(train.classes), way, seed)
                found = round(accuracy(model, test_images, test.labels), 2)
                add_line(FILE, row | {"accuracy": found})
                print(*row.values(), found, flush=True)


def redrawn(p: float) -> Distort:
    """Redrawn by `glyphs` with this probability, then distorted."""
    redraw = VAEAugment(load("glyphs", provider="cpu", threads=1), strength=3.0, p=p)
    return v2.Compose([redraw, affine])


def trained(labelled: Batch, pool: Tensor, classes: int, way: Way, seed: int) -> nn.Module:
    """A classifier of labelled images, and of the uint8 images of `pool`, [N, C, H, W]."""
    if way.view is not None:
        return fixmatch(labelled, pool, classes, way.labelled, way.view, seed)
    return train_classifier(*labelled, classes, distort=way.labelled, updates=UPDATES, seed=seed)


def fixmatch(
    labelled: Batch, pool: Tensor, classes: int, distort: Distort, view: Distort, seed: int
) -> nn.Module:
    """`train_classifier` with a second loss, of unlabelled images."""
    images, labels = labelled
    torch.manual_seed(seed)
    channels, height, width = images.shape[1:]
    model = small_cnn((channels, height, width), classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    for _ in range(UPDATES):
        rows = torch.randint(len(images), (BATCH,))
        loss = F.cross_entropy(logits(model, distort(images[rows])), labels[rows])
        unlabelled = to_float(pool[torch.randint(len(pool), (UNLABELLED,))])
        loss = loss + consistency(model, unlabelled, view)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def consistency(model: nn.Module, images: Tensor, view: Distort) -> Tensor:
    """Equation 4 of FixMatch: views of images get the answers that are sure without distortion."""
    model.eval()
    with torch.no_grad():
        confidence, answers = logits(model, images).softmax(1).max(1)
    model.train()
    is_sure = confidence >= THRESHOLD
    if not is_sure.any():
        return torch.zeros(())
    views = logits(model, view(images[is_sure]))
    return F.cross_entropy(views, answers[is_sure], reduction="sum") / len(images)


@app.command("table")
def show() -> None:
    """Print the table of docs/experiments.md."""
    print(table(read_lines(FILE)))


def table(rows: list[Row]) -> str:
    """Each method beside affine distortion and redrawing, on each set of images and on all."""
    sets = dict.fromkeys(row["data"] for row in rows)
    groups = {name: [row for row in rows if row["data"] == name] for name in sets}
    groups[" and ".join(sets)] = rows
    lines = []
    for name, group in groups.items():
        methods = by_method(group)
        for method, found in methods.items():
            mean = sum(found.values()) / len(found)
            gain = "" if method == BASE else str(paired(found, methods[BASE]))
            rest = "" if method == REDRAWN else str(paired(methods[REDRAWN], found))
            lines.append([name, str(len(found)), method, f"{mean:.2f}", gain, rest])
    return markdown(HEAD, lines)


def by_method(rows: list[Row]) -> dict[str, dict[int, float]]:
    """The accuracies of each method, numbered in the order of images and draws."""
    methods: dict[str, dict[int, float]] = {}
    for row in sorted(rows, key=lambda row: (row["data"], row["seed"])):
        found = methods.setdefault(row["method"], {})
        found[len(found)] = row["accuracy"]
    return methods


if __name__ == "__main__":
    app()
