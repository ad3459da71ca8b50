"""`vae-augment info`: what is in a model file."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import printable
from . import options

if TYPE_CHECKING:
    from ..model.vae_model import VAEModel


def info(
    model: options.Model,
    check: Annotated[
        bool, typer.Option("--check", help="Also run every part of the model on two images.")
    ] = False,
    sha256: Annotated[str | None, typer.Option(help="The sha256 that the file must have.")] = None,
) -> None:
    """Show what MODEL is: shapes, classes, how it was trained, size and sha256."""
    from .. import load

    loaded = load(model, sha256=sha256)
    for name, value in facts_of(loaded).items():
        typer.echo(f"{name:<12}" + printable(str(value)).replace("\n", "\\n"))
    if check:
        loaded.probe()
        typer.echo(
            "check       passed: structure, operators, tensors, names, shapes, cost and metadata; "
            "whole, encoder and decoder ran on two images; "
            + (
                "the sha256 is the one given"
                if sha256
                else "compare the sha256 with its source's, or pass --sha256"
            )
        )


def facts_of(loaded: "VAEModel") -> dict[str, object]:
    """What there is to say of a model, by name: for `info` and for the page of `explore`."""
    from ..training import verdict

    spec = loaded.spec
    latents = "drawn from N(0, I)"
    if spec.latents is not None:
        groups, components = spec.latents.weights.shape
        bank = len(spec.latents.bank)
        latents = f"drawn from {groups} mixtures of {components} Gaussians; a bank of {bank} images"
    return {
        "file": f"{loaded.path.name}, {loaded.path.stat().st_size:,} bytes",
        "sha256": loaded.sha256,
        "images": "{} x {} x {} (channels, height, width), float32 in [0, 1]".format(
            *spec.image_shape
        ),
        "latent": f"{spec.latent_dim} dimensions, {latents}",
        "classes": ", ".join(spec.classes) or "none",
        "conditional": "yes" if spec.conditional else "no",
        "training": ", ".join(f"{key} {value}" for key, value in spec.training.items())
        or "unknown",
        "quality": (verdict(spec.training) or ("unknown",))[0],
        "exporter": spec.exporter,
        "format": spec.format_version,
        "provider": loaded.device_type,
    }
