"""`vae-augment compress` and `decompress`: images as a few bytes each."""

import io
from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing, save_arrays
from . import options

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write (.npz).")]
_PNG_IMAGES = 200  # whose size as PNG is measured


def compress(
    model: options.Model,
    data: options.Data,
    output: Output,
    plot: Annotated[Path | None, typer.Option(help="Picture of images before and after (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the images' latents in 8 bits per dimension, and compare bytes per image with PNG."""
    from .. import load
    from ..evaluation import codes
    from ..evaluation.pictures import Row, save_rows
    from ..pixels import psnr, to_pil
    from ..training.data import load_data, to_float

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    loaded, images = load(model), load_data(data, root, train=not test).images
    compressed = codes.compress(loaded, images)
    save_arrays(output, compressed._asdict(), compress=True)
    restored, png = codes.decompress(loaded, compressed), io.BytesIO()
    for image in images[:_PNG_IMAGES]:
        to_pil(image).save(png, format="PNG", optimize=True)
    typer.echo(
        f"wrote {output}: {output.stat().st_size / len(images):.1f} bytes per image "
        f"(PNG {png.tell() / min(_PNG_IMAGES, len(images)):.0f}, raw {images[0].numel()}), "
        f"PSNR {psnr(restored, to_float(images)):.1f} dB"
    )
    if plot:
        save_rows([Row("originals", images), Row("compressed", restored)], plot)
        typer.echo(f"wrote {plot}")


def decompress(
    model: options.Model,
    source: Annotated[Path, typer.Argument(help="A file of vae-augment compress.")],
    output: Output,
    overwrite: options.Overwrite = False,
) -> None:
    """Decode a compressed file, and write the images as `images` (uint8) of an .npz."""
    import torch

    from .. import load
    from ..evaluation import codes
    from ..pixels import from_batch

    refuse_existing(output, overwrite)
    images = codes.decompress(load(model), codes.load_compressed(source))
    save_arrays(output, {"images": from_batch(images, torch.uint8).numpy()})
    typer.echo(f"wrote {output}: {len(images)} images {tuple(images.shape[1:])}")
