"""`vae-augment embed`: images to latents, and a scatter plot of them."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing, save_arrays
from . import options


def embed(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Latents to write (.npz).")],
    plot: Annotated[Path | None, typer.Option(help="Scatter plot of the latents in two dimensions (.png).")] = None,
    projection: Annotated[str, typer.Option(help="pca or tsne, for --plot.")] = "pca",
    test: options.Test = False,
    root: options.Root = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the mean, log-variance and label of each image."""
    from .. import load
    from ..evaluation.codes import project
    from ..evaluation.pictures import save_scatter
    from ..training.data import load_data

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    images = load_data(data, root, train=not test)
    mean, logvar = (moment.numpy() for moment in load(model).encode(images.images))
    if plot:
        points = project(mean, projection)
        save_scatter(points, images.labels[: len(points)].numpy(), images.classes, plot)
        typer.echo(f"wrote {plot}")
    save_arrays(output, {"mean": mean, "logvar": logvar, "labels": images.labels.numpy()})
    typer.echo(f"wrote {output}: {len(images)} images in {mean.shape[1]} dimensions")
