"""`vae-augment embed`: the latents of images."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing_files, save_arrays
from . import options


def embed(
    model: options.Model,
    data: options.Data,
    output: options.Arrays,
    plot: Annotated[
        Path | None, typer.Option(help="Scatter plot of the latents in two dimensions (.png).")
    ] = None,
    projection: Annotated[str, typer.Option(help="pca or tsne, for --plot.")] = "pca",
    test: options.Test = False,
    root: options.Root = None,
    read: options.Read = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the mean, log-variance and label of each image, and the names of classes and files."""
    from .. import load, training
    from ..evaluation.pictures import save_scatter
    from ..evaluation.projection import project, rows_to_draw

    refuse_existing_files(overwrite, output, plot)
    images = training.load_data(data, root, train=not test, **options.reading(read))
    mean, logvar = (moment.numpy() for moment in load(model).encode(images.images))
    if plot:
        rows = rows_to_draw(len(mean), projection)
        points = project(mean[rows], projection)
        save_scatter(points, images.labels.numpy()[rows], images.classes, plot)
        is_partial = len(rows) < len(mean)
        some = f": {len(rows):,} of {len(mean):,} images, as t-SNE takes long for more"
        typer.echo(f"wrote {plot}{some if is_partial else ''}")
    arrays: dict[str, object] = {
        "mean": mean,
        "logvar": logvar,
        "labels": images.labels.numpy(),
        "classes": images.classes,
    }
    if images.files:
        arrays["files"] = images.files
    save_arrays(output, arrays)
    typer.echo(f"wrote {output}: {len(images)} images in {mean.shape[1]} dimensions")
