"""`vae-augment explore`: see in the browser what a model does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .info import facts_of

if TYPE_CHECKING:
    from ..app.originals import Originals
    from ..model.vae_model import VAEModel

_PEN = "mnist"  # draws for a model that draws nothing itself
_DATA = (
    f"Images to perturb, as for fit; if not given, samples of MODEL, or of {_PEN} if it has none."
)


def explore(
    model: options.Model,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help=_DATA, show_default=False)
    ] = None,
    root: options.Root = None,
    read: options.Read = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="If not given, a free one from 7860 on.")
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address of the page.")
    ] = False,
) -> None:
    """Open a page in the browser: perturb images, draw samples, copy the line of Python.

    Needs the extra [app]. Only this machine can open the page; Ctrl-C ends it.
    """
    from .. import load
    from ..app.serving import serve

    loaded = load(model)
    serve(
        loaded,
        model,
        _originals(loaded, model, data, root, options.reading(read)),
        facts_of(loaded),
        port=port,
        opens_browser=not no_browser,
        ready=lambda address: typer.echo(f"{address} (Ctrl-C ends it)"),
    )


def _originals(
    model: "VAEModel", name: str, data: str | None, root: Path | None, reading: dict[str, Any]
) -> "Originals":
    from .. import load
    from ..app.originals import DataImages, Samples
    from ..app.samples import can_draw
    from ..training import load_data

    if data is not None:
        folder = None if root is None else str(root)
        return DataImages(load_data(data, folder, **reading), data, folder, reading)
    return Samples(model, name) if can_draw(model) else Samples(load(_PEN), _PEN)
