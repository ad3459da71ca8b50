"""`vae-augment export`: write the one ONNX file."""

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import atomic_path
from . import options

if TYPE_CHECKING:
    from .. import exporters

_SOURCE = (
    "A checkpoint of vae-augment fit, or what another library saved, such as a folder of pythae."
)
_IMAGE_SHAPE = (
    "channels,height,width (as in 1,28,28), if SOURCE does not hold it; needed for --module."
)
_DECODER_OUTPUT = (
    "What decode gives: image (pixels in the image range), logits, or probabilities (pixels in "
    "[0, 1] in spite of --image-range)."
)
_IMAGE_RANGE = (
    "low,high: black and white in the images of the training, if not 0,1 (as in -1,1); or the lows "
    "of all channels, then the highs."
)
_ALLOW_PICKLE = "Open pickled networks of a pythae folder. They can run ANY code with your rights."
_FIT_LATENTS = (
    "Images, as for fit: the distribution that generation draws from is fitted to them, per class."
)


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.onnx).")],
    source: Annotated[
        Path | None, typer.Argument(metavar="[SOURCE]", help=_SOURCE, show_default=False)
    ] = None,
    module: Annotated[
        str | None, typer.Option(help="Instead of SOURCE: package.module:Class of a module.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of --module: .safetensors, or a state_dict.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Instead of SOURCE: the .onnx file of an encoder.")
    ] = None,
    decoder: Annotated[
        Path | None, typer.Option(help="The .onnx file of the decoder of --encoder.")
    ] = None,
    image_shape: Annotated[str | None, typer.Option(help=_IMAGE_SHAPE)] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names of the classes, separated by commas.")
    ] = None,
    decoder_output: Annotated[str, typer.Option(help=_DECODER_OUTPUT)] = "image",
    image_range: Annotated[str | None, typer.Option(help=_IMAGE_RANGE)] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help=_ALLOW_PICKLE)] = False,
    fit_latents: Annotated[str | None, typer.Option(metavar="DATA", help=_FIT_LATENTS)] = None,
    root: options.Root = None,
    read: options.Read = None,
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 (half the size) or int8 (faster mlp).")
    ] = "fp32",
    keep_bank: options.KeepBank = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Export SOURCE to one ONNX file and compare it with PyTorch."""
    typer.echo(f"exporting {source or module or f'{encoder} and {decoder}'} ...")
    from .. import exporters, load, training

    images = training.load_data(fit_latents, root, **options.reading(read)) if fit_latents else None
    with _warnings_as_lines():
        report = exporters.export(
            _source(source, module, weights, encoder, decoder),
            output,
            image_shape=_parse_shape(image_shape),
            classes=classes.split(",") if classes else (),
            decoder_output=decoder_output,
            image_range=_parse_range(image_range),
            allow_pickle=allow_pickle,
            images=images,
            precision=precision,
            keep_bank=keep_bank,
            overwrite=overwrite,
        )
    typer.echo(f"{report.table()}\n{summary(output)}")
    quality = training.describe_quality(load(output).spec.training)
    if quality is not None and quality.is_poor:
        typer.echo(f"warning: {quality.text}", err=True)


def _source(
    source: Path | None,
    module: str | None,
    weights: Path | None,
    encoder: Path | None,
    decoder: Path | None,
) -> "exporters.Source":
    from .. import exporters

    pair = (encoder, decoder) if encoder and decoder else None
    given = [item for item in (source, module, pair) if item is not None]
    if len(given) != 1 or (encoder is None) != (decoder is None) or (weights and not module):
        raise typer.BadParameter(
            "give one of: SOURCE, --module (with --weights), --encoder with --decoder"
        )
    return exporters.load_module(module, weights) if module else source or pair or ""


def _parse_shape(text: str | None) -> list[int] | None:
    try:
        return [int(number) for number in text.split(",")] if text else None
    except ValueError:
        raise typer.BadParameter(
            f"--image-shape is {text!r}; give channels,height,width, as in 1,28,28"
        ) from None


def _parse_range(text: str | None) -> "exporters.ImageRange | None":
    try:
        numbers = [float(number) for number in text.split(",")] if text else []
    except ValueError:
        numbers = [0.0]  # an odd count, which is refused below
    if len(numbers) % 2:
        raise typer.BadParameter(
            f"--image-range is {text!r}; give low,high, as in -1,1, or the lows of all channels "
            "and then the highs"
        )
    half = len(numbers) // 2
    return (numbers[:half], numbers[half:]) if numbers else None


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
        yield


def write_model(
    checkpoint: Path,
    output: Path,
    *,
    keep_bank: bool,
    overwrite: bool,
    measured: Callable[[Path], list[str]] | None = None,
) -> None:
    """Write the model file, with what is measured of it, whole or not at all."""
    from .. import exporters

    typer.echo(f"exporting to {output} ...")
    with atomic_path(output, overwrite=overwrite) as temporary:
        report = exporters.export(checkpoint, temporary, keep_bank=keep_bank)
        lines = [] if measured is None else measured(temporary)
    typer.echo(f"{report.table()}\n{summary(output)}")
    if lines:
        typer.echo("\n" + "\n".join(lines))


def next_command(checkpoint: Path) -> str:
    """The line that follows the writing of a checkpoint."""
    model = checkpoint.with_suffix(".onnx")
    return f"wrote {checkpoint}. Next: vae-augment export {checkpoint} -o {model}"


def summary(output: Path) -> str:
    """The size and digest of a model file, and how it is used."""
    import onnx

    content = output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    opset = onnx.load_from_string(content).opset_import[0].version
    return (
        f"{output}: opset {opset}, {len(content):,} bytes, sha256 {digest}\n"
        "\nUse it:\n"
        "  from vae_augment import VAEAugment\n"
        f'  augment = VAEAugment("{output}", strength=1.0, p=0.5)\n'
        "  transform = v2.Compose([v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True)])"
    )
