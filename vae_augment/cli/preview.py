"""`vae-augment preview`: a picture of what a model does."""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def preview(
    model: options.Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write (.png).")] = Path("preview.png"),
    data: Annotated[
        str | None, typer.Option(help="Images to perturb, as for fit; left out: the model's own samples.")
    ] = None,
    root: options.Root = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw originals and reconstructions, perturbations of three strengths, and samples by class."""
    from .. import load
    from ..evaluation.pictures import preview_rows, save_rows
    from ..files import refuse_existing

    refuse_existing(output, overwrite)
    loaded = load(model)
    images = None
    if data is not None:
        from ..training.data import load_data

        images = load_data(data, root, train=False).images
    save_rows(preview_rows(loaded, images, seed), output)
    typer.echo(f"wrote {output}")
