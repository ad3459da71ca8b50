"""`vae-augment score`: how unlike the training data each image is."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from . import options


def score(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores to write (.csv).")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the least and the most typical images (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write index, label and anomaly score (nats; larger = less like the training data) of each image."""
    from .. import load
    from ..evaluation.pictures import COLUMNS, Row, save_rows
    from ..files import atomic_path, refuse_existing
    from ..training.data import load_data

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    loaded, images = load(model), load_data(data, root, train=not test)
    scores = loaded.anomaly_score(images.images)
    with atomic_path(output) as temporary, open(temporary, "w", newline="") as file:
        rows = zip(range(len(images)), images.labels.tolist(), scores.tolist(), strict=True)
        csv.writer(file).writerows([("index", "label", "score"), *((i, y, f"{s:.3f}") for i, y, s in rows)])
    typer.echo(f"wrote {output}: {len(scores)} scores, median {scores.median():.1f}, largest {scores.max():.1f}")
    if plot:
        order = scores.argsort()
        most, least = images.images[order[:COLUMNS]], images.images[order[-COLUMNS:].flip(0)]
        save_rows([Row("most typical", most), Row("least typical", least)], plot)
        typer.echo(f"wrote {plot}")
