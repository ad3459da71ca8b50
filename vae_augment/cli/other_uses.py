"""`vae-augment embed`, `compress`, `decompress`, `denoise` and `score`: other uses of a VAE."""

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from ..files import atomic_path, refuse_existing, save_arrays
from . import options

_PNG_IMAGES = 200  # whose size as PNG is measured


def embed(
    model: options.Model,
    data: options.Data,
    output: options.Arrays,
    plot: Annotated[Path | None, typer.Option(help="Scatter plot of the latents in two dimensions (.png).")] = None,
    projection: Annotated[str, typer.Option(help="pca or tsne, for --plot.")] = "pca",
    test: options.Test = False,
    root: options.Root = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the mean, log-variance and label of each image, the names of the classes, and of a folder's files."""
    from .. import load, training
    from ..evaluation import codes, pictures

    _refuse_existing(overwrite, output, plot)
    images = training.load_data(data, root, train=not test)
    mean, logvar = (moment.numpy() for moment in load(model).encode(images.images))
    if plot:
        rows = codes.rows_to_draw(len(mean), projection)
        points = codes.project(mean[rows], projection)
        pictures.save_scatter(points, images.labels.numpy()[rows], images.classes, plot)
        some = f": {len(rows):,} of {len(mean):,} images, as t-SNE takes long for more" if len(rows) < len(mean) else ""
        typer.echo(f"wrote {plot}{some}")
    arrays = {"mean": mean, "logvar": logvar, "labels": images.labels.numpy(), "classes": images.classes}
    save_arrays(output, arrays | ({"files": images.files} if images.files else {}))
    typer.echo(f"wrote {output}: {len(images)} images in {mean.shape[1]} dimensions")


def compress(
    model: options.Model,
    data: options.Data,
    output: options.Arrays,
    plot: Annotated[Path | None, typer.Option(help="Picture of images before and after (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the images' latents in 8 bits per dimension, and compare bytes per image with PNG."""
    from .. import load, pixels, training
    from ..evaluation import codes, pictures

    _refuse_existing(overwrite, output, plot)
    loaded, images = load(model), training.load_data(data, root, train=not test).images
    compressed = codes.compress(loaded, images)
    save_arrays(output, compressed._asdict(), compress=True)
    restored, png = codes.decompress(loaded, compressed), io.BytesIO()
    for image in images[:_PNG_IMAGES]:
        pixels.to_pil(image).save(png, format="PNG", optimize=True)
    typer.echo(
        f"wrote {output}: {output.stat().st_size / len(images):.1f} bytes per image "
        f"(PNG {png.tell() / min(_PNG_IMAGES, len(images)):.0f}, raw {images[0].numel()}), "
        f"PSNR {pixels.psnr(restored, training.data.to_float(images)):.1f} dB"
    )
    if plot:
        pictures.save_rows([pictures.Row("originals", images), pictures.Row("compressed", restored)], plot)
        typer.echo(f"wrote {plot}")


def decompress(
    model: options.Model,
    source: Annotated[Path, typer.Argument(help="A file of vae-augment compress.")],
    output: options.Arrays,
    overwrite: options.Overwrite = False,
) -> None:
    """Decode a compressed file, and write the images as `images` (uint8) of an .npz."""
    import torch

    from .. import load, pixels
    from ..evaluation import codes

    refuse_existing(output, overwrite)
    images = codes.decompress(load(model), codes.load_compressed(source))
    save_arrays(output, {"images": pixels.from_batch(images, torch.uint8).numpy()})
    typer.echo(f"wrote {output}: {len(images)} images {tuple(images.shape[1:])}")


def denoise(
    model: options.Model,
    data: options.Data,
    output: options.Picture = Path("denoise.png"),
    sigma: Annotated[float, typer.Option(min=0, help="Standard deviation of the noise to add; 0 = none.")] = 0.5,
    cleaned: Annotated[Path | None, typer.Option(help="Also write all cleaned images (.npz).")] = None,
    root: options.Root = None,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Add noise to images, reconstruct them, draw both, and give the PSNR before and after."""
    import torch

    from .. import load, training
    from ..evaluation.pictures import Row, save_rows
    from ..pixels import from_batch, psnr

    _refuse_existing(overwrite, output, cleaned)
    clean = training.data.to_float(training.load_data(data, root, train=False).images)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + sigma * noise).clamp_(0, 1)
    loaded = load(model)
    if not loaded.spec.training.get("denoise"):
        typer.echo(
            "warning: this model was not trained to denoise, so what it cleans may look as before. Train one: "
            f"vae-augment fit DATA --denoise {sigma or 0.5:g} -o denoiser.safetensors",
            err=True,
        )
    restored = loaded.reconstruct(noisy)
    save_rows([Row("originals", clean), Row(f"with noise {sigma:g}", noisy), Row("cleaned", restored)], output)
    typer.echo(f"wrote {output}: PSNR {psnr(noisy, clean):.1f} dB before, {psnr(restored, clean):.1f} dB after")
    if cleaned:
        save_arrays(cleaned, {"images": from_batch(restored, torch.uint8).numpy()})
        typer.echo(f"wrote {cleaned}")


def score(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores to write (.csv).")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the most and the least typical images (.png).")] = None,
    root: options.Root = None,
    test: options.Test = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write index, label, anomaly score (in nats; larger = less like the training data) and a folder's file names."""
    from .. import load, training
    from ..evaluation.pictures import Row, save_rows

    _refuse_existing(overwrite, output, plot)
    images = training.load_data(data, root, train=not test)
    scores = load(model).anomaly_score(images.images)
    with atomic_path(output) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        files = [images.files] if images.files else []  # a column only where there are names
        writer.writerow(["index", *["file"] * len(files), "label", "score"])
        written = [f"{value:.3f}" for value in scores.tolist()]
        writer.writerows(zip(range(len(scores)), *files, images.labels.tolist(), written, strict=True))
    typer.echo(f"wrote {output}: {len(scores)} scores, median {scores.median():.1f}, largest {scores.max():.1f}")
    if plot:
        ranked = images.images[scores.argsort()]
        save_rows([Row("most typical", ranked), Row("least typical", ranked.flip(0))], plot)
        typer.echo(f"wrote {plot}")


def _refuse_existing(overwrite: bool, *paths: Path | None) -> None:
    for path in filter(None, paths):
        refuse_existing(path, overwrite)
