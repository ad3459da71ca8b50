"""`vae-augment preview`: a picture of what a model does."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing
from . import options

_DATA = "Images to perturb, as for fit; if not given, its own samples."


def preview(
    model: options.Model,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help=_DATA, show_default=False)
    ] = None,
    output: options.Picture = Path("preview.png"),
    root: options.Root = None,
    read: options.Read = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw originals, reconstructions, perturbations of strength 0.25 to 4, and samples."""
    from .. import load
    from ..evaluation.pictures import preview_rows, save_rows
    from ..training.data.loading import load_data

    refuse_existing(output, overwrite)
    images = None
    if data is not None:
        images = load_data(data, root, train=False, **options.reading(read)).images
    save_rows(preview_rows(load(model), images, seed), output)
    typer.echo(f"wrote {output}")
