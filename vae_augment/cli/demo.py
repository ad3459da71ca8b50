"""`vae-augment demo`: the whole job in a few minutes."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import check_folder
from . import options


def demo(
    data: Annotated[str, typer.Option(help="digits (needs no files), or another data set as for fit.")] = "digits",
    root: options.Root = None,
    folder: Annotated[Path, typer.Option(help="Folder for demo.onnx and demo.png, which are replaced.")] = Path(),
) -> None:
    """Train a VAE, export it, and compare a classifier with and without it, from 10 labels per class."""
    from ..evaluation.demonstration import run_demo

    check_folder(folder / "demo.onnx")
    run_demo(data, root, folder, typer.echo)
