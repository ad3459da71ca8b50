"""`vae-augment compare`: does a VAE help on these images?"""

from pathlib import Path
from typing import Annotated

import typer

from . import options


def compare(
    data: options.Data,
    root: options.Root = None,
    labels_per_class: Annotated[str, typer.Option(help="How many labels per class are used, or all.")] = "all",
    pool: Annotated[bool, typer.Option(help="Train the VAE on the images whose labels are not used too.")] = False,
    test: Annotated[
        list[str] | None, typer.Option(help="Images to test on, as DATA; else its test part, or a fifth of each class.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Repetitions, each with other labels.")] = 3,
    updates: Annotated[int, typer.Option(min=1, help="Of each classifier, of 50 images.")] = 1500,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where every run is written (.json).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once; else one per draw or core.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a small classifier on DATA with and without a VAE, and say whether it helps."""
    from ..evaluation.comparison import compare as run

    verdict = run(
        data,
        root,
        labels_per_class=_number(labels_per_class),
        pool=pool,
        test=test or (),
        draws=draws,
        updates=updates,
        output=output,
        workers=workers,
        device=device,
        say=typer.echo,
    )
    typer.echo(f"\n{verdict.table}\n\n{verdict.advice}")


def _number(labels: str) -> int | None:
    from ..errors import InputError

    if labels == "all":
        return None
    if not labels.isdecimal():
        raise InputError(f"--labels-per-class is {labels!r}; give a number of at least 1, or all.")
    return int(labels)
