"""`vae-augment demo`: what it is worth, measured in minutes."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from ..files import check_folder

_OUTPUT = "Folder for demo.onnx and demo.png, which are replaced."


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help=_OUTPUT)] = Path(),
) -> None:
    """Measure on scikit-learn's digits what a line in the Compose and what a file are worth.

    Takes one to five minutes and downloads nothing.
    """
    from ..evaluation.demonstration import run_demo

    # What three trainings log would stand between the tables.
    logging.getLogger("vae_augment").setLevel(logging.WARNING)
    check_folder(output / "demo.onnx")
    run_demo(output, typer.echo)
