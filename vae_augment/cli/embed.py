"""`vae-augment embed`: images to latents, and a map of them."""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def embed(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Latents to write (.npz).")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the latents in two dimensions (.png).")] = None,
    projection: Annotated[str, typer.Option(help="pca or tsne, for --plot.")] = "pca",
    test: options.Test = False,
    root: options.Root = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the mean, log-variance and label of each image: dimensionality reduction."""
    from .. import load
    from ..evaluation.codes import embed_images, project, save_embedding
    from ..evaluation.pictures import save_scatter
    from ..files import refuse_existing
    from ..training.data import load_data

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    images = load_data(data, root, train=not test)
    embedding = embed_images(load(model), images.images, images.labels)
    save_embedding(embedding, output)
    typer.echo(f"wrote {output}: {len(images)} images in {embedding.mean.shape[1]} dimensions")
    if plot:
        save_scatter(project(embedding.mean, projection), embedding.labels, images.classes, plot)
        typer.echo(f"wrote {plot}")
