"""`vae-augment decompress`: images from what `compress` wrote."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing, save_arrays
from . import options


def decompress(
    model: options.Model,
    source: Annotated[Path, typer.Argument(help="A file of vae-augment compress.")],
    output: options.Arrays,
    overwrite: options.Overwrite = False,
) -> None:
    """Decode a compressed file, and write the images as `images` (uint8) of an .npz."""
    import torch

    from .. import load
    from ..evaluation import compression
    from ..model import pixels

    refuse_existing(output, overwrite)
    images = compression.decompress(load(model), compression.load_compressed(source))
    save_arrays(output, {"images": pixels.from_batch(images, torch.uint8).numpy()})
    typer.echo(f"wrote {output}: {len(images)} images {tuple(images.shape[1:])}")
