"""`vae-augment info`: what is in a model file."""

import typer

from . import options


def info(model: options.Model) -> None:
    """Say what MODEL is: shapes, classes, how it was trained, size and sha256."""
    from .. import load

    loaded = load(model)
    spec = loaded.spec
    facts = {
        "file": f"{loaded.path.name}, {loaded.path.stat().st_size:,} bytes",
        "sha256": loaded.sha256,
        "images": "{} x {} x {} (channels, height, width), float32 in [0, 1]".format(*spec.image_shape),
        "latent": f"{spec.latent_dim} dimensions, {_latents(spec)}",
        "classes": ", ".join(spec.classes) or "none",
        "conditional": "yes" if spec.conditional else "no",
        "training": ", ".join(f"{key} {value}" for key, value in spec.training.items()) or "unknown",
        "exporter": spec.exporter,
        "format": spec.format_version,
        "provider": loaded.device_type,
    }
    for name, value in facts.items():
        typer.echo(f"{name:<12}{value}")


def _latents(spec: "Spec") -> str:  # type: ignore[name-defined]  # noqa: F821
    if spec.latents is None:
        return "drawn from N(0, I)"
    groups, components = spec.latents.weights.shape
    return f"drawn from {groups} mixtures of {components} Gaussians; a bank of {len(spec.latents.bank)} images"
