"""`vae-augment audit`: what a model file gives away about the images that it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..files import refuse_existing_files
from . import options

if TYPE_CHECKING:
    from ..model.vae_model import VAEModel
    from ..privacy.report import Closest

_TRAIN = "The images that MODEL was trained on; sources as for fit."
_TEST = "Images of the same kind that it was not trained on; of a named data set its test part."
_PLOT = "Picture of the twelve samples nearest to a training image (.png)."
_STORE = "Write the result into MODEL, where info shows it; this changes the file's sha256."
_STORED = "yes, but not into a bundled file, nor where the file has an epsilon"
_MAX_AUC = "Exit with 1 where the strongest membership attack has a larger AUC; 0.5 is guessing."


def audit(
    model: options.Model,
    train: Annotated[str, typer.Option(metavar="DATA", help=_TRAIN)],
    test: Annotated[str, typer.Option(metavar="DATA", help=_TEST)],
    plot: Annotated[Path | None, typer.Option(help=_PLOT)] = None,
    max_auc: Annotated[
        float | None, typer.Option(min=0.5, max=1, show_default=False, help=_MAX_AUC)
    ] = None,
    store: Annotated[
        bool | None, typer.Option("--store/--no-store", show_default=_STORED, help=_STORE)
    ] = None,
    root: options.Root = None,
    read: options.Read = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Attack MODEL, look for copies of training images among its samples, and store the result."""
    from .. import load
    from ..evaluation import audit as look_for_leaks
    from ..privacy.audit import store as store_audit
    from ..training import load_data

    refuse_existing_files(overwrite, plot)
    loaded = load(model)
    is_stored = _is_stored(loaded, store)
    reading = options.reading(read)
    seen = load_data(train, root, **reading)
    unseen = load_data(test, root, train=False, **reading)
    result = look_for_leaks(loaded, seen, unseen)
    typer.echo(result.table())
    if is_stored:
        store_audit(result, loaded)
        typer.echo(f"stored in {loaded.path}; vae-augment info {loaded.path} shows it")
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


def _is_stored(model: "VAEModel", asked: bool | None) -> bool:
    from ..model.evidence import PRIVACY
    from ..model.file import BUNDLED, model_reference

    is_bundled = model_reference(model.path) in BUNDLED
    if asked and is_bundled:
        raise InputError(
            f"{model.name!r} is a bundled file, which the next update replaces. Copy it, and give "
            "the path of the copy."
        )
    if asked is None:
        return not is_bundled and PRIVACY not in model.spec.evidence
    return asked


def _save_closest(closest: "Closest", path: Path) -> None:
    from ..evaluation.pictures import Row, save_rows

    rows = [
        Row("samples", closest.samples),
        Row("nearest training image", closest.train),
        Row("nearest unseen image", closest.test),
    ]
    save_rows(rows, path)
