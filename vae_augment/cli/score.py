"""`vae-augment score`: how unlike the training data each image is."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from ..files import atomic_path, refuse_existing
from . import options


def score(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores to write (.csv).")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the most and the least typical images (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write index, label and anomaly score of each image (in nats; larger = less like the training data)."""
    from .. import load
    from ..evaluation.pictures import Row, save_rows
    from ..training.data import load_data

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    images = load_data(data, root, train=not test)
    scores = load(model).anomaly_score(images.images)
    with atomic_path(output) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "label", "score"])
        for index, (label, value) in enumerate(zip(images.labels.tolist(), scores.tolist(), strict=True)):
            writer.writerow([index, label, f"{value:.3f}"])
    typer.echo(f"wrote {output}: {len(scores)} scores, median {scores.median():.1f}, largest {scores.max():.1f}")
    if plot:
        ranked = images.images[scores.argsort()]
        save_rows([Row("most typical", ranked), Row("least typical", ranked.flip(0))], plot)
        typer.echo(f"wrote {plot}")
