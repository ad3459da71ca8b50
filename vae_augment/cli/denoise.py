"""`vae-augment denoise`: how a model reconstructs noisy images."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing, save_arrays
from . import options


def denoise(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write (.png).")] = Path("denoise.png"),
    sigma: Annotated[float, typer.Option(min=0, help="Standard deviation of the noise to add; 0 = none.")] = 0.5,
    images: Annotated[Path | None, typer.Option(help="Also write all cleaned images (.npz).")] = None,
    root: options.Root = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Add noise to images, reconstruct them, draw both, and give the PSNR before and after."""
    import torch

    from .. import load
    from ..evaluation.pictures import Row, save_rows
    from ..pixels import from_batch, psnr
    from ..training.data import load_data, to_float

    for path in filter(None, (output, images)):
        refuse_existing(path, overwrite)
    clean = to_float(load_data(data, root, train=False).images)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + sigma * noise).clamp_(0, 1)
    cleaned = load(model).reconstruct(noisy)
    save_rows([Row("originals", clean), Row(f"with noise {sigma:g}", noisy), Row("cleaned", cleaned)], output)
    typer.echo(f"wrote {output}: PSNR {psnr(noisy, clean):.1f} dB before, {psnr(cleaned, clean):.1f} dB after")
    if images:
        save_arrays(images, {"images": from_batch(cleaned, torch.uint8).numpy()})
        typer.echo(f"wrote {images}")
