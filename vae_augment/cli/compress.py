"""`vae-augment compress`: latents in 8 bits per dimension."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import refuse_existing_files, save_arrays
from . import options

if TYPE_CHECKING:
    from torch import Tensor

PNG_IMAGES = 200  # whose size as PNG is measured


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
    bytes_per_image = output.stat().st_size / len(images)
    typer.echo(
        f"wrote {output}: {bytes_per_image:.1f} bytes per image "
        f"(PNG {_bytes_as_png(images[:PNG_IMAGES]):.0f}, raw {images[0].numel()}), "
        f"PSNR {pixels.psnr(restored, to_float(images)):.1f} dB"
    )
    if plot:
        originals = pictures.Row("originals", images)
        pictures.save_rows([originals, pictures.Row("compressed", restored)], plot)
        typer.echo(f"wrote {plot}")


def _bytes_as_png(images: "Tensor") -> float:
    """The mean size of these images as PNG files."""
    from ..model import pixels

    png = io.BytesIO()
    for image in images:
        pixels.to_pil(image).save(png, format="PNG", optimize=True)
    return png.tell() / len(images)
