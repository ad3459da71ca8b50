"""The command `vae-augment`. Each command is a thin file of its own over a function of the package."""

import typer

from .compare import compare
from .compress import compress, decompress
from .demo import demo
from .denoise import denoise
from .embed import embed
from .error_handling import friendly
from .evaluate import evaluate
from .export import export
from .fit import fit
from .generate import generate
from .info import info
from .label import label
from .preview import preview
from .score import score

app = typer.Typer(
    name="vae-augment",
    help="Data augmentation by variational autoencoders: train one, export it to one file, look at it, measure it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    fit,
    export,
    info,
    label,
    preview,
    generate,
    evaluate,
    compare,
    embed,
    compress,
    decompress,
    denoise,
    score,
):
    app.command()(friendly(command))


@app.callback()
def _group() -> None:
    """Keeps the commands' names even when there is one only."""


def main() -> None:
    """The entry point of the console script."""
    app()
