"""`vae-augment fit`: train a VAE."""

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..files import check_folder, refuse_existing
from . import options
from .export import next_command, write_model
from .private_fit import check_private, fit_privately

if TYPE_CHECKING:
    from ..training import Checkpoint, Epoch, FitConfig, ImageData
    from .figure import FigureSplit


MOST_LINES = 100  # of epochs that are shown
_OUTPUT = "Model to write (.onnx), or the checkpoint alone (.safetensors)."
_CONDITIONAL = "Give the labels to encoder and decoder; by default where there are labels."
_MINUTES = "Instead of --epochs: as many updates as let it end after about so many minutes."
_NETWORK = (
    "conv, conv-small, conv-large, mlp (the classic 784-400-20), or energy: samples with random "
    "detail instead of a blur, which takes twice the time."
)
_NETWORK_DEFAULT = (
    "energy for labelled images with greys or colours, more than 20 per class and up to 38x38 "
    "(a few hundred: 52x52); else conv"
)
_LATENT_DIM_DEFAULT = (
    "32 for energy, and for conv of labelled drawings, more than 20 per class; else 20"
)
_REDRAW = (
    "Learn from pairs of one class how an image may be redrawn, instead of --network. Over the "
    "best distortions such models of one's own images gained nothing where it was measured."
)
_EPOCHS = (
    "1,500 updates or more: 1,608 for 300 images, 9,396 for 60,000; of labelled drawings, more "
    "than 20 per class, 3,125 for 1,000 and 16,000 from 5,120 on, if they are 28x28; no more than "
    "take two cores half an hour, which is 5,739 for energy of 28x28, and fewer if they take longer"
)
_START = (
    "Checkpoint (.safetensors) of other images of the same shape, whose weights it starts with, or "
    "photographs (a bundled one), or none. It takes half the updates then, and samples of few "
    "images may teach more."
)
_START_DEFAULT = (
    "photographs for grey images of 28x28 that energy learns, at least 200 per class and at most "
    "1,000 in all; else none"
)
_EPSILON = "Differential privacy for each image: fit noised statistics of latents of --public."
_PUBLIC = "The base of --epsilon, of public images only: strokes, objects or an .onnx file."
_DELTA = "The delta of --epsilon."
_DELTA_DEFAULT = "1e-5, or at most 1 / n^2 of n images"
SECONDS_TO_CHECK = 180.0  # of --minutes, at most
SHARE_TO_CHECK = 0.3  # of --minutes, at most
_CHECK = (
    "End with what a small classifier learns from samples alone, beside what it learns from the "
    "images, and with an audit of what the file gives away. Up to a fifth of DATA is kept out of "
    "training for both."
)
_TEST = "Images for both in place of a part of DATA; sources as for DATA."
_BETA_DEFAULT = (
    "0.1 for energy; for conv 0.3 of labelled drawings, more than 20 per class, else 1, less for "
    "greys and colours; for others 1"
)
_DISTORT = "Turn, stretch and shift images a little, so that few are not learned by heart."
_DISTORT_DEFAULT = "below 50,000 images"
_PATIENCE = "Epochs without a better held-out loss before it stops."


def fit(
    context: typer.Context,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help=_OUTPUT)],
    network: Annotated[
        str | None, typer.Option(show_default=_NETWORK_DEFAULT, help=_NETWORK)
    ] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help=_REDRAW)] = False,
    latent_dim: Annotated[
        int | None,
        typer.Option(min=1, show_default=_LATENT_DIM_DEFAULT, help="Size of the latent."),
    ] = None,
    conditional: Annotated[
        bool | None, typer.Option("--conditional/--unconditional", help=_CONDITIONAL)
    ] = None,
    label_dropout: Annotated[
        float, typer.Option(help="Share of labels hidden from a conditional model.")
    ] = 0.25,
    epochs: Annotated[
        int | None, typer.Option(min=1, show_default=_EPOCHS, help="Passes over the data.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help=_MINUTES)] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per update.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="Learning rate of Adam; its peak, except for mlp.")
    ] = 1e-3,
    beta: Annotated[
        float | None,
        typer.Option(
            show_default=_BETA_DEFAULT,
            help="Weight of the KL term; below 1: sharper, closer perturbations.",
        ),
    ] = None,
    distort: Annotated[
        bool | None,
        typer.Option("--distort/--no-distort", show_default=_DISTORT_DEFAULT, help=_DISTORT),
    ] = None,
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
    start: Annotated[
        str | None, typer.Option(metavar="CHECKPOINT", show_default=_START_DEFAULT, help=_START)
    ] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help=_CHECK)] = True,
    test: Annotated[
        str | None, typer.Option(metavar="DATA", show_default=False, help=_TEST)
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    keep_bank: options.KeepBank = False,
    epsilon: Annotated[float | None, typer.Option(show_default=False, help=_EPSILON)] = None,
    public: Annotated[str | None, typer.Option(metavar="BASE", help=_PUBLIC)] = None,
    delta: Annotated[float | None, typer.Option(show_default=_DELTA_DEFAULT, help=_DELTA)] = None,
    root: options.Root = None,
    read: options.Read = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a VAE on DATA and export it. The same command resumes a run that was stopped or killed.

    With --output something.safetensors only the checkpoint is written, for vae-augment export.
    """
    from .. import training
    from ..training import distributed
    from ..training.starting import with_start
    from .figure import FigureSplit, figure_split, is_sampled_by_class

    if epsilon is not None or public is not None or delta is not None:
        check_private(context, epsilon, public)
        check_folder(output)
        images = training.load_data(data, root, download=download, **options.reading(read))
        fit_privately(images, output, epsilon, public, delta, overwrite)
        return
    config = training.FitConfig(
        network=_choose_network(network, redraw),
        latent_dim=latent_dim,
        conditional=conditional,
        label_dropout=label_dropout,
        epochs=epochs,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        beta=beta,
        distort=distort,
        denoise=denoise,
        held_out=held_out,
        patience=patience,
        precision=precision,
        seed=seed,
        device=device,
    )
    _check_test(output, test, check)
    wanted = _start(start)
    with distributed.process_group(device):
        _check_output(output, overwrite)
        images = training.load_data(data, root, download=download, **options.reading(read))
        _say(
            f"{len(images)} images {images.image_shape} of {len(images.classes)} classes from "
            f"{images.name}"
        )
        config, started = with_start(config, wanted, images)
        if output.suffix == ".onnx":
            is_measured = check and is_sampled_by_class(config, images)
            split = FigureSplit(images, None)
            if is_measured:
                split = figure_split(images, data, test, root=root, read=read, seed=seed)
            _fit_and_export(split, output, config, started, keep_bank, overwrite)
            return
        repeated = "The same command without --overwrite" if overwrite else "The same command"
        _show_quality(_fit(images, output, config, started, keep_bank, overwrite, repeated))
        _say(next_command(output))


def _check_output(output: Path, overwrite: bool) -> None:
    from ..training import distributed

    if distributed.rank() > 0:  # the others do not write
        return
    if output.suffix == ".onnx":
        refuse_existing(output, overwrite)
    else:
        check_folder(output)


def _check_test(output: Path, test: str | None, check: bool) -> None:
    if test is not None and (output.suffix != ".onnx" or not check):
        raise InputError(
            f"--test {test} is for what is measured of a model file (-o NAME.onnx without "
            "--no-check), and nothing is measured here. Leave it out."
        )


def _fit_and_export(
    split: "FigureSplit",
    output: Path,
    config: "FitConfig",
    start: "Checkpoint | None",
    keep_bank: bool,
    overwrite: bool,
) -> None:
    """Write a model file, beside which the checkpoint lies until that is done."""
    from .. import training
    from ..training import distributed
    from .figure import measure

    path = output.with_name(f"{output.stem}.unfinished.safetensors")
    is_same = path.exists() and training.holds_same_run(path, split.train, config, start)
    if is_same and training.load_checkpoint(path).is_finished:
        checkpoint = training.load_checkpoint(path)
    else:
        start_anew = overwrite and not is_same
        seconds_after = _seconds_after(config) if split.test is not None else 0.0
        checkpoint = _fit(
            split.train,
            path,
            config,
            start,
            keep_bank,
            start_anew,
            "The same command",
            seconds_after,
        )
    _show_quality(checkpoint)
    distributed.wait_for_all()
    if distributed.rank() > 0:
        return
    measured = None
    if split.test is not None:
        measured = partial(measure, train=split.train, test=split.test, config=config)
    try:
        write_model(path, output, keep_bank=keep_bank, overwrite=overwrite, measured=measured)
    except KeyboardInterrupt:
        typer.echo(
            f"\nStopped; {path} holds the trained network. The same command goes on.", err=True
        )
        raise
    path.unlink()


def _seconds_after(config: "FitConfig") -> float:
    """Of a budget of minutes, what the measurements at the end take."""
    if config.minutes is None:
        return 0.0
    return min(SECONDS_TO_CHECK, SHARE_TO_CHECK * 60 * config.minutes)


def _show_quality(checkpoint: "Checkpoint") -> None:
    from .. import training

    quality = training.describe_quality(checkpoint.spec.training)
    if quality is not None:
        _say(f"warning: {quality.text}" if quality.is_poor else quality.text)


def _choose_network(network: str | None, redraw: bool) -> str | None:
    if redraw and network is not None:
        raise InputError(f"--redraw does not go with --network {network}. Give one of the two.")
    return "redrawing" if redraw else network


def _start(given: str | None) -> "Checkpoint | str | None":
    """What `training.fit` takes as `start`. A file is read, so that a bad one is told at once."""
    from ..training.starting import SUITED, read_start

    if given == "none":
        return None
    return read_start(SUITED if given is None else given)


def _fit(
    images: "ImageData",
    output: Path,
    config: "FitConfig",
    start: "Checkpoint | None",
    keep_bank: bool,
    overwrite: bool,
    repeated: str,
    seconds_after: float = 0.0,
) -> "Checkpoint":
    """Train, and say after Ctrl-C how the run is resumed: by the command `repeated`."""
    from .. import training

    before = _time_of_change(output)
    try:
        return training.fit(
            images,
            output,
            config,
            keep_bank=keep_bank,
            overwrite=overwrite,
            report=_show_epoch,
            seconds_after=seconds_after,
            start=start,
        )
    except KeyboardInterrupt:
        if _time_of_change(output) == before:
            typer.echo(f"\nStopped before anything was written to {output}.", err=True)
        else:
            typer.echo(f"\nStopped; {output} holds the state. {repeated} resumes it.", err=True)
        raise


def _say(text: str) -> None:
    from ..training import distributed

    if distributed.rank() == 0:
        typer.echo(text)


def _time_of_change(output: Path) -> int | None:
    return output.stat().st_mtime_ns if output.exists() else None


def _show_epoch(epoch: "Epoch") -> None:
    between_lines = math.ceil(epoch.epochs / MOST_LINES)
    if epoch.number % between_lines and epoch.number != epoch.epochs:
        return
    held_out = "" if epoch.held_out is None else f", held out {epoch.held_out:.2f}"
    typer.echo(
        f"epoch {epoch.number}/{epoch.epochs}: loss {epoch.loss:.2f} = "
        f"reconstruction {epoch.reconstruction:.2f} + KL {epoch.kl:.2f} per image{held_out}"
    )
