"""`vae-augment label`: labels for a pool, from a few."""

from typing import Annotated

import typer

from ..files import refuse_existing, save_arrays
from . import options

_BY = "agreement (digits, glyphs), or neighbours (garments, textures, what a distortion harms)."


def label(
    data: options.Data,
    output: options.Arrays,
    by: Annotated[str, typer.Option(help=_BY)] = "agreement",
    share: Annotated[
        float, typer.Option(help="Share of each guessed class that keeps its label.")
    ] = 0.95,
    updates: Annotated[
        int, typer.Option(min=1, help="Of training; 6,000 take 7 to 20 minutes on one core.")
    ] = 6000,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    root: options.Root = None,
    read: options.Read = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Guess labels for the unlabelled images of DATA from the labelled ones.

    Doubtful images stay unlabelled. In a folder, the unlabelled images lie beside the class
    folders. Fit a conditional VAE to the result.
    """
    from ..evaluation.pseudo_labels import label_pool
    from ..training import load_data

    refuse_existing(output, overwrite)
    images = load_data(data, root, **options.reading(read))
    found = label_pool(images, by=by, share=share, updates=updates, seed=seed, device=device)
    arrays = {
        "images": found.images.numpy(),
        "labels": found.labels.numpy(),
        "classes": found.classes,
    }
    save_arrays(output, arrays, compress=True)
    before = int((images.labels >= 0).sum())
    now = int((found.labels >= 0).sum())
    typer.echo(f"wrote {output}: {len(found)} images, {now} with a label in place of {before}")
    typer.echo(f"Next: vae-augment fit {output} -o {output.with_suffix('.onnx')}")
