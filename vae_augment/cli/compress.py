"""`vae-augment compress` and `decompress`: images as a few bytes each."""

import io
from pathlib import Path
from typing import Annotated

import typer

from . import options

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write (.npz).")]


def compress(
    model: options.Model,
    data: options.Data,
    output: Output,
    plot: Annotated[Path | None, typer.Option(help="Picture of images before and after (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the images' latents in 8 bits a dimension; says bytes an image against PNG, and PSNR."""
    from .. import load
    from ..evaluation import codes
    from ..evaluation.pictures import COLUMNS, Row, save_rows
    from ..files import refuse_existing
    from ..pixels import psnr
    from ..training.data import load_data, to_float

    for path in filter(None, (output, plot)):
        refuse_existing(path, overwrite)
    loaded = load(model)
    images = load_data(data, root, train=not test).images
    compressed = codes.compress(loaded, images)
    codes.save_compressed(compressed, output)
    restored = codes.decompress(loaded, compressed)
    size, png = output.stat().st_size / len(images), _png_bytes(images[:200])
    typer.echo(
        f"wrote {output}: {size:.1f} bytes an image (PNG {png:.0f}, raw {images[0].numel()}), "
        f"PSNR {psnr(restored, to_float(images)):.1f} dB"
    )
    if plot:
        save_rows([Row("originals", images[:COLUMNS]), Row("compressed", restored[:COLUMNS])], plot)
        typer.echo(f"wrote {plot}")


def decompress(
    model: options.Model,
    source: Annotated[Path, typer.Argument(help="A file of vae-augment compress.")],
    output: Output,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the images that a compressed file stands for, as `images` (uint8) of an .npz."""
    import torch

    from .. import load
    from ..evaluation import codes
    from ..files import refuse_existing, save_arrays
    from ..pixels import from_batch

    refuse_existing(output, overwrite)
    images = codes.decompress(load(model), codes.load_compressed(source))
    save_arrays(output, {"images": from_batch(images, torch.uint8).numpy()})
    typer.echo(f"wrote {output}: {len(images)} images {tuple(images.shape[1:])}")


def _png_bytes(images: "torch.Tensor") -> float:  # type: ignore[name-defined]  # noqa: F821
    from ..pixels import to_pil

    total = 0
    for image in images:
        buffer = io.BytesIO()
        to_pil(image).save(buffer, format="PNG", optimize=True)
        total += buffer.tell()
    return total / len(images)
