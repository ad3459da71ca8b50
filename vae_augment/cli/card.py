"""`vae-augment card`: the model card of a file, for the Hugging Face Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import atomic_path, refuse_existing_files
from . import options

if TYPE_CHECKING:
    from ..model.vae_model import VAEModel

_OUTPUT = "Card to write (.md); a picture of samples goes beside it."
_LICENCE = "Its identifier on the Hub's list, such as apache-2.0."


def card(
    model: options.Model,
    output: Annotated[Path, typer.Option("--output", "-o", help=_OUTPUT)],
    licence: Annotated[
        str | None, typer.Option("--licence", show_default="not stated", help=_LICENCE)
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write what MODEL says of itself as a model card, with a picture of its samples."""
    from .. import load
    from ..evaluation.card import model_card

    loaded = load(model)
    picture = output.with_name(f"{loaded.name}.png") if loaded.spec.kind.samples else None
    refuse_existing_files(overwrite, output, picture)
    text = model_card(loaded, licence=licence, picture=picture.name if picture else None)
    if picture is not None:
        _save_picture(loaded, picture)
        typer.echo(f"wrote {picture}")
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {output}")


def _save_picture(model: "VAEModel", path: Path) -> None:
    from ..evaluation.pictures import preview_rows, save_rows

    save_rows(preview_rows(model), path)
