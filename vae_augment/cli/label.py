"""`vae-augment label`: labels for a pool, from a few."""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def label(
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Images and labels to write (.npz).")],
    by: Annotated[
        str, typer.Option(help="agreement (digits, glyphs), or neighbours (garments, textures: no distortion).")
    ] = "agreement",
    share: Annotated[float, typer.Option(help="Of each class, the share of surest images that get its label.")] = 0.95,
    updates: Annotated[int, typer.Option(min=1, help="Training; 6,000 take 7 or 20 minutes on one core.")] = 6000,
    seed: options.Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    root: options.Root = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Guess the labels of the images of DATA that have none, from those that have one; doubtful ones get none.

    In a folder, images beside the class folders are those without a label. Fit a conditional VAE to the result.
    """
    from ..evaluation.pseudo_labels import label_pool
    from ..files import refuse_existing, save_arrays
    from ..training.data import load_data

    refuse_existing(output, overwrite)
    images = load_data(data, root)
    found = label_pool(images, by=by, share=share, updates=updates, seed=seed, device=device)
    save_arrays(
        output,
        {"images": found.images.numpy(), "labels": found.labels.numpy(), "classes": found.classes},
        compress=True,
    )
    before, now = ((part.labels >= 0).sum().item() for part in (images, found))
    typer.echo(f"wrote {output}: {len(found)} images, {now} with a label in place of {before}")
    typer.echo(f"Next: vae-augment fit {output} -o {output.with_suffix('.safetensors')} --conditional")
