"""`vae-augment compare`: does a VAE help on these images?"""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from . import options

_POOL = "Train the VAE also on the images whose labels are not used."
_MODEL = (
    "Try this model (a bundled name or an .onnx file, such as one of fit --redraw) instead of a "
    "VAE trained on DATA."
)
_TEST = "Images to test on, as DATA; if not given, the test part of DATA, or a fifth of each class."
MOST_DIGITS = 18  # of a number that fits into 64 bits
_REPETITIONS = "How often everything is repeated, each time with other labels."
_METHODS = "A method to compare, as in the table; repeat for more. All if not given."
_WORKERS = "Processes at once; if not given, one per repetition, at most one per core."


def compare(
    data: options.Data,
    root: options.Root = None,
    read: options.Read = None,
    labels_per_class: Annotated[
        str, typer.Option(help="How many labels per class are used, or all.")
    ] = "all",
    pool: Annotated[bool, typer.Option(help=_POOL)] = False,
    model: Annotated[str | None, typer.Option(help=_MODEL)] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="Of VAEAugment; 1, and 3 spreads of the posterior, if not given."),
    ] = None,
    p: Annotated[float | None, typer.Option(help="Of VAEAugment; 0.5 if not given.")] = None,
    residual: Annotated[bool | None, typer.Option(help="Of VAEAugment; on if not given.")] = None,
    method: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_METHODS)] = None,
    test_data: Annotated[list[str] | None, typer.Option(metavar="DATA", help=_TEST)] = None,
    draws: Annotated[int, typer.Option("--repetitions", "--draws", min=1, help=_REPETITIONS)] = 3,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first repetition; the next ones count up.")
    ] = 0,
    updates: Annotated[
        int, typer.Option(min=1, help="Updates of each classifier, of 50 images.")
    ] = 1500,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for all results (.json).")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=_WORKERS)] = None,
    device: options.Device = "cpu",
) -> None:
    """Train a small classifier on DATA with and without a VAE, and say whether the VAE helps.

    On images of 1x28x28 it tries the bundled model that redraws handwriting, glyphs; with --model,
    a model of your own, such as one of fit --redraw.
    """
    from ..evaluation import compare as run_comparison

    given = {"strength": strength, "p": p, "residual": residual}
    settings = {name: value for name, value in given.items() if value is not None}
    found = run_comparison(
        data,
        root,
        labels_per_class=_parse_labels(labels_per_class),
        pool=pool,
        model=model,
        settings=settings or None,
        methods=method,
        test=test_data or (),
        draws=draws,
        seed=seed,
        updates=updates,
        output=output,
        workers=workers,
        device=device,
        reading=options.reading(read),
    )
    typer.echo(f"\n{found.table}\n\n{found.advice}")


def _parse_labels(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise InputError(f"--labels-per-class is {text!r}; give a number of at least 1, or all.")
    return int(text)
