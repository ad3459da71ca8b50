"""`vae-augment export`: write the one ONNX file."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from . import options


def export(
    source: Annotated[Path, typer.Argument(help="A checkpoint of vae-augment fit.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.onnx).")],
    overwrite: options.Overwrite = False,
) -> None:
    """Export SOURCE to one ONNX file and compare it with PyTorch."""
    typer.echo(f"exporting {source} ...")
    from .. import exporters

    report = exporters.export(source, output, overwrite=overwrite)
    content = output.read_bytes()
    typer.echo(report.table())
    typer.echo(f"{output}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    typer.echo(
        "\nUse it:\n"
        "  from vae_augment import VAEAugment\n"
        f'  augment = VAEAugment("{output}", strength=1.0, p=0.5)\n'
        "  transform = v2.Compose([v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True)])"
    )
