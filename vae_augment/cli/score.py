"""`vae-augment score`: how unlike the training data each image is."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from ..files import atomic_path, refuse_existing_files
from . import options


def score(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores to write (.csv).")],
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the most and the least typical images (.png).")
    ] = None,
    root: options.Root = None,
    read: options.Read = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write each image's label, file name and anomaly score in nats; larger is less typical."""
    from .. import load, training
    from ..evaluation.pictures import Row, save_rows

    refuse_existing_files(overwrite, output, plot)
    images = training.load_data(data, root, train=not test, **options.reading(read))
    scores = load(model).anomaly_score(images.images)
    with (
        atomic_path(output) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        # A column only where there are names.
        files = [images.files] if images.files else []
        writer.writerow(["index", *["file"] * len(files), "label", "score"])
        written = [f"{value:.3f}" for value in scores.tolist()]
        writer.writerows(
            zip(range(len(scores)), *files, images.labels.tolist(), written, strict=True)
        )
    typer.echo(
        f"wrote {output}: {len(scores)} scores, median {scores.median():.1f}, largest "
        f"{scores.max():.1f}"
    )
    if plot:
        ranked = images.images[scores.argsort()]
        save_rows([Row("most typical", ranked), Row("least typical", ranked.flip(0))], plot)
        typer.echo(f"wrote {plot}")
