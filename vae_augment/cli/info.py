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
        _show(name, value)
    for name, lines in evidence_of(loaded).items():
        for number, line in enumerate(lines):
            _show("" if number else name, line)
    if check:
        loaded.probe()
        digest = "the sha256 is the one given"
        if not sha256:
            digest = "compare the sha256 with its source's, or pass --sha256"
        typer.echo(
            "check       passed: structure, operators, tensors, names, shapes, cost and metadata; "
            f"whole, encoder and decoder ran on two images; {digest}"
        )


def _show(name: str, value: object) -> None:
    typer.echo(f"{name:<12}" + printable(str(value)).replace("\n", "\\n"))


def evidence_of(loaded: "VAEModel") -> dict[str, list[str]]:
    """What was measured on a model, by name, in lines."""
    from ..model.evidence import AUDIT, PRIVACY, SAMPLES_ONLY
    from ..model.strength import STRENGTH, strength_in_words
    from ..privacy.words import audit_in_words, privacy_in_words, samples_only_in_words

    known = loaded.spec.evidence
    lines = {}
    if STRENGTH in known:
        lines["strength"] = strength_in_words(known[STRENGTH])
    if PRIVACY in known:
        lines["privacy"] = privacy_in_words(known[PRIVACY])
    if AUDIT in known:
        lines["audit"] = audit_in_words(known[AUDIT])
    if SAMPLES_ONLY in known:
        lines["samples"] = samples_only_in_words(known[SAMPLES_ONLY])
    return lines


def facts_of(loaded: "VAEModel") -> dict[str, object]:
    """What there is to say of a model, by name: for `info` and for the page of `explore`."""
    from ..training import describe_quality

    spec = loaded.spec
    channels, height, width = spec.image_shape
    quality = describe_quality(spec.training)
    training = ", ".join(f"{key} {value}" for key, value in spec.training.items())
    return {
        "file": f"{loaded.path.name}, {loaded.path.stat().st_size:,} bytes",
        "sha256": loaded.sha256,
        "images": f"{channels} x {height} x {width} (channels, height, width), float32 in [0, 1]",
        "latent": f"{spec.latent_dim} dimensions, {_latents(loaded)}",
        "classes": ", ".join(spec.classes) or "none",
        "conditional": "yes" if spec.conditional else "no",
        "training": training or "unknown",
        "quality": "unknown" if quality is None else quality.text,
        "exporter": spec.exporter,
        "format": spec.format_version,
        "provider": loaded.device_type,
    }


def _latents(loaded: "VAEModel") -> str:
    latents = loaded.spec.latents
    if latents is None:
        return "drawn from N(0, I)"
    groups, components = latents.weights.shape
    drawn = f"drawn from {groups} mixtures of {components} Gaussians"
    if not len(latents.bank):
        return drawn
    return (
        f"{drawn}; WARNING: latents of {len(latents.bank)} training images, from which images "
        "close to them can be decoded"
    )
