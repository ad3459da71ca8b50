"""`vae-augment fit`: train a VAE."""

import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import check_folder
from . import options

if TYPE_CHECKING:
    from ..training import Epoch


LINES = 100  # at most this many epochs are shown
_BUDGET = "1,500 updates or more: 1,608 for 300 images, 9,396 for 60,000"
_CONDITION = "nothing, or image: learn from pairs of one class how an image may be redrawn."
_OBJECTIVE = (
    "cross-entropy, or energy: samples with random detail instead of a blur; with --beta 0.1."
)
_PATIENCE = "Epochs without a better held-out loss before it stops."


def fit(
    context: typer.Context,
    data: options.Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Checkpoint to write (.safetensors).")
    ],
    network: Annotated[str, typer.Option(help="conv, or mlp (the classic 784-400-20).")] = "conv",
    width: Annotated[str, typer.Option(help="Of conv: small, base or large.")] = "base",
    objective: Annotated[str, typer.Option(help=_OBJECTIVE)] = "cross-entropy",
    latent_dim: Annotated[int, typer.Option(min=1, help="Size of the latent.")] = 20,
    condition: Annotated[str, typer.Option(help=_CONDITION)] = "nothing",
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Give the labels to encoder and decoder.")
    ] = False,
    label_dropout: Annotated[
        float, typer.Option(help="Share of labels hidden from a conditional model.")
    ] = 0.25,
    epochs: Annotated[
        int | None, typer.Option(min=1, show_default=_BUDGET, help="Passes over the data.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per update.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="Learning rate of Adam; for conv its peak.")
    ] = 1e-3,
    beta: Annotated[
        float, typer.Option(help="Weight of the KL term; below 1: sharper, closer perturbations.")
    ] = 1.0,
    denoise: Annotated[
        float, typer.Option(help="Standard deviation of noise added to the input only.")
    ] = 0.0,
    held_out: Annotated[
        float, typer.Option(help="Share of images held out, for early stopping.")
    ] = 0.0,
    patience: Annotated[
        int | None, typer.Option(min=1, show_default="a tenth, but at least 10", help=_PATIENCE)
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    root: options.Root = None,
    read: options.Read = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a VAE on DATA. The same command again resumes a run that was interrupted or killed."""
    from .. import training
    from ..training import distributed

    # Each field of the config has an option of the same name.
    config = training.FitConfig(
        **{field.name: context.params[field.name] for field in fields(training.FitConfig)}
    )
    with distributed.process_group(device):
        say = typer.echo if distributed.rank() == 0 else lambda text: None
        if distributed.rank() == 0:  # the others do not write
            check_folder(output)
        images = training.load_data(data, root, download=download, **options.reading(read))
        say(
            f"{len(images)} images {images.image_shape} of {len(images.classes)} classes from "
            f"{images.name}"
        )
        before = _changed(output)
        try:
            checkpoint = training.fit(
                images, output, config, overwrite=overwrite, report=_report, say=say
            )
        except KeyboardInterrupt:
            if _changed(output) != before:
                command = (
                    "The same command without --overwrite" if overwrite else "The same command"
                )
                typer.echo(f"\nStopped; {output} holds the state. {command} resumes it.", err=True)
            else:
                typer.echo(f"\nStopped before anything was written to {output}.", err=True)
            raise
        text, is_poor = training.verdict(checkpoint.spec.training) or ("", False)
        say(f"warning: {text}" if is_poor else text)
        say(f"wrote {output}. Next: vae-augment export {output} -o {output.with_suffix('.onnx')}")


def _changed(output: Path) -> int | None:
    return output.stat().st_mtime_ns if output.exists() else None


def _report(epoch: "Epoch") -> None:
    if epoch.number % math.ceil(epoch.epochs / LINES) and epoch.number != epoch.epochs:
        return
    held_out = "" if epoch.held_out is None else f", held out {epoch.held_out:.2f}"
    typer.echo(
        f"epoch {epoch.number}/{epoch.epochs}: loss {epoch.loss:.2f} = "
        f"reconstruction {epoch.reconstruction:.2f} + KL {epoch.kl:.2f} per image{held_out}"
    )
