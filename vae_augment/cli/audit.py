"""`vae-augment audit`: what a model file gives away about the images that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import refuse_existing_files
from . import options

if TYPE_CHECKING:
    from ..privacy.report import Closest

_TRAIN = "The images that MODEL was trained on; sources as for fit."
_TEST = "Images of the same kind that it was not trained on; of a named data set its test part."
_PLOT = "Picture of the twelve samples nearest to a training image (.png)."
_MAX_AUC = "Exit with 1 where the strongest membership attack has a larger AUC; 0.5 is guessing."


def audit(
    model: options.Model,
    train: Annotated[str, typer.Option(metavar="DATA", help=_TRAIN)],
    test: Annotated[str, typer.Option(metavar="DATA", help=_TEST)],
    plot: Annotated[Path | None, typer.Option(help=_PLOT)] = None,
    max_auc: Annotated[
        float | None, typer.Option(min=0.5, max=1, show_default=False, help=_MAX_AUC)
    ] = None,
    root: options.Root = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Attack MODEL, and look for copies of training images among its samples."""
    from .. import load
    from ..evaluation import audit as look_for_leaks
    from ..training import load_data

    refuse_existing_files(overwrite, plot)
    result = look_for_leaks(load(model), load_data(train, root), load_data(test, root, train=False))
    typer.echo(result.table())
    if plot is not None and result.closest is not None:
        _save_closest(result.closest, plot)
        typer.echo(f"wrote {plot}")
    if max_auc is not None and result.membership_auc > max_auc:
        typer.echo(
            f"error: the attack by {result.strongest} reaches an AUC of "
            f"{result.membership_auc:.3f}, above --max-auc {max_auc:g}.",
            err=True,
        )
        raise typer.Exit(1)


def _save_closest(closest: "Closest", path: Path) -> None:
    from ..evaluation.pictures import Row, save_rows

    rows = [
        Row("samples", closest.samples),
        Row("nearest training image", closest.train),
        Row("nearest unseen image", closest.test),
    ]
    save_rows(rows, path)
