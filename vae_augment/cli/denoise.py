"""`vae-augment denoise`: clean noisy images."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import refuse_existing_files, save_arrays
from . import options


def denoise(
    model: options.Model,
    data: options.Data,
    output: options.Picture = Path("denoise.png"),
    sigma: Annotated[
        float, typer.Option(min=0, help="Standard deviation of the noise to add; 0 = none.")
    ] = 0.5,
    cleaned: Annotated[
        Path | None, typer.Option(help="Also write all cleaned images (.npz).")
    ] = None,
    root: options.Root = None,
    read: options.Read = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Add noise to images, reconstruct them, show both, and give the PSNR before and after."""
    import torch

    from .. import load, training
    from ..evaluation.pictures import Row, save_rows
    from ..model.pixels import from_batch, psnr
    from ..training.data import to_float

    refuse_existing_files(overwrite, output, cleaned)
    found = training.load_data(data, root, train=False, **options.reading(read))
    clean = to_float(found.images)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + sigma * noise).clamp_(0, 1)
    loaded = load(model)
    if not loaded.spec.training.get("denoise"):
        typer.echo(
            "warning: this model was not trained to denoise, so what it cleans may look as "
            f"before. Train one: vae-augment fit DATA --denoise {sigma or 0.5:g} -o "
            "denoiser.safetensors",
            err=True,
        )
    restored = loaded.reconstruct(noisy)
    rows = [Row("originals", clean), Row(f"with noise {sigma:g}", noisy), Row("cleaned", restored)]
    save_rows(rows, output)
    before = psnr(noisy, clean)
    after = psnr(restored, clean)
    typer.echo(f"wrote {output}: PSNR {before:.1f} dB before, {after:.1f} dB after")
    if cleaned:
        save_arrays(cleaned, {"images": from_batch(restored, torch.uint8).numpy()})
        typer.echo(f"wrote {cleaned}")
