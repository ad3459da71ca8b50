"""`vae-augment fit --epsilon`: a model with differential privacy for each image."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from ..errors import InputError
from ..files import refuse_existing
from .export import next_command, write_model

if TYPE_CHECKING:
    from ..training import ImageData

# What a private fit has no use for: it trains nothing on the private images.
_OF_TRAINING = (
    "network redraw latent_dim conditional label_dropout epochs minutes batch_size learning_rate "
    "beta distort denoise held_out patience precision start seed device keep_bank check test"
).split()


def check_private(context: typer.Context, epsilon: float | None, public: str | None) -> None:
    """Raise `InputError` for half of a private fit's options, or one of training beside them."""
    if epsilon is None or public is None:
        raise InputError("--epsilon and --public go together; --delta goes with both. Give both.")
    given = [name for name in _OF_TRAINING if _is_given(context, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise InputError(
            f"{option} does not go with --epsilon: nothing is trained on the private images. "
            f"Leave {option} out."
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def fit_privately(
    images: "ImageData",
    output: Path,
    epsilon: float | None,
    public: str | None,
    delta: float | None,
    overwrite: bool,
) -> None:
    """Write a model or a checkpoint, and say what the privacy of the images is."""
    from ..model.evidence import PRIVACY
    from ..privacy.private_fit import fit_private
    from ..privacy.words import privacy_in_words

    assert epsilon is not None  # `check_private` has seen to both
    assert public is not None
    refuse_existing(output, overwrite)
    is_model = output.suffix == ".onnx"
    with TemporaryDirectory() as folder:
        path = Path(folder, "private.safetensors") if is_model else output
        checkpoint = fit_private(
            images, path, epsilon=epsilon, public=public, delta=delta, overwrite=overwrite
        )
        for line in privacy_in_words(checkpoint.spec.evidence[PRIVACY]):
            typer.echo(line)
        if is_model:
            write_model(path, output, keep_bank=False, overwrite=overwrite)
        else:
            typer.echo(next_command(output))
