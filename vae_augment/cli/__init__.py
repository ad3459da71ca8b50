"""The command `vae-augment`: each command is a thin file of its own over a function."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .._version import __version__
from ..errors import VAEAugmentError
from .audit import audit
from .card import card
from .compare import compare
from .compress import compress
from .decompress import decompress
from .demo import demo
from .denoise import denoise
from .embed import embed
from .evaluate import evaluate
from .explore import explore
from .export import export
from .fit import fit
from .generate import generate
from .info import info
from .label import label
from .models import models
from .preview import preview
from .score import score


class Commands(TyperGroup):
    """Turns the errors of all commands into one line, `error: ...`, and exit code 1.

    Ctrl-C gives 130, and output that is no longer read, as by `| head -1`, 141 without a message,
    as a shell says of other programs.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except BrokenPipeError:
            # Or Python complains of it when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except (VAEAugmentError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None


def _show_warning(message: object, *place: object, **more: object) -> None:
    typer.echo(f"warning: {message}", err=True)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"vae-augment {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
EXAMPLES: dict[Callable[..., None], str] = {
    demo: "",
    fit: "FOLDER -o mine.onnx",
    export: "mine.safetensors -o mine.onnx",
    info: "mine.onnx --check",
    models: "",
    preview: "mine.onnx FOLDER -o mine.png",
    explore: "mnist digits",
    generate: "mnist -n 1_000_000 -o DIR --format npz",
    evaluate: "mnist mnist --root DIR --protocol iwae-mnist",
    compare: "FOLDER --labels-per-class 10",
    audit: "mnist --train mnist --test mnist --root DIR",
    card: "mine.onnx -o README.md --licence apache-2.0",
    label: "FOLDER -o labelled.npz",
    embed: "mnist DATA -o latents.npz --plot map.png",
    compress: "mnist DATA -o small.npz",
    decompress: "mnist small.npz -o images.npz",
    denoise: "denoiser.onnx DATA -o cleaned.png",
    score: "mnist DATA -o scores.csv --plot extremes.png",
}
OTHER_USES = (label, embed, compress, decompress, denoise, score)

for command, example in EXAMPLES.items():
    app.command(
        epilog=f"Example: vae-augment {command.__name__} {example}".strip(),
        rich_help_panel="Other uses of a VAE" if command in OTHER_USES else None,
    )(command)


@app.callback()
def main_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Data augmentation with variational autoencoders.

    Train one, export it to one file, use it, measure it.
    """
    _show_log()


class _Lines(logging.Handler):
    """Shows what the package logs as lines of a command's output."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record))


def _show_log() -> None:
    log = logging.getLogger(__package__.partition(".")[0])
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())


def main() -> None:
    """The entry point of the console script."""
    app()
