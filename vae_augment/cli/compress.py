"""`vae-augment compress`: latents in 8 bits per dimension."""

import io
from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing_files, save_arrays
from . import options

_PNG_IMAGES = 200  # whose size as PNG is measured


def compress(
    model: options.Model,
    data: options.Data,
    output: options.Arrays,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of images before and after (.png).")
    ] = None,
    root: options.Root = None,
    read: options.Read = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the images' latents in 8 bits per dimension, and compare bytes per image with PNG."""
    from .. import load, training
    from ..evaluation import compression, pictures
    from ..model import pixels
    from ..training.data import to_float

    refuse_existing_files(overwrite, output, plot)
    loaded = load(model)
    images = training.load_data(data, root, train=not test, **options.reading(read)).images
    compressed = compression.compress(loaded, images)
    save_arrays(output, compressed._asdict(), compress=True)
    restored = compression.decompress(loaded, compressed)
    png = io.BytesIO()
    for image in images[:_PNG_IMAGES]:
        pixels.to_pil(image).save(png, format="PNG", optimize=True)
    typer.echo(
        f"wrote {output}: {output.stat().st_size / len(images):.1f} bytes per image "
        f"(PNG {png.tell() / min(_PNG_IMAGES, len(images)):.0f}, raw {images[0].numel()}), "
        f"PSNR {pixels.psnr(restored, to_float(images)):.1f} dB"
    )
    if plot:
        pictures.save_rows(
            [pictures.Row("originals", images), pictures.Row("compressed", restored)], plot
        )
        typer.echo(f"wrote {plot}")
