"""`vae-augment demo`: the whole job in a few minutes."""

from pathlib import Path
from typing import Annotated

import typer

from ..files import check_folder
from . import options

_OUTPUT = "Folder for demo.onnx and demo.png, which are replaced."


def demo(
    data: options.Data = "digits",
    root: options.Root = None,
    read: options.Read = None,
    output: Annotated[Path, typer.Option("--output", "-o", help=_OUTPUT)] = Path(),
) -> None:
    """Train a VAE, export it, and train a classifier on 10 labels per class with and without it."""
    from ..evaluation.demonstration import run_demo

    check_folder(output / "demo.onnx")
    run_demo(data, root, output, typer.echo, options.reading(read))
