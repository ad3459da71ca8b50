"""Fit the latent distribution of a model anew, by its own encoder, and write it into its file.

    python -m benchmarks.latents fashion-mnist fashion-mnist --root DIR    # DIR as for torchvision

DATA are the images of the training. The weights stay as they are; what was measured of the
samples before is left out. The new sha256 belongs into vae_augment/models/README.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common import model_and_images
from vae_augment import VAEModel, load
from vae_augment.model.evidence import AUDIT, SAMPLES_ONLY, add_evidence
from vae_augment.training import ImageData, fit_latents


def write_latents(path: str | Path, data: ImageData) -> VAEModel:
    """Fit the latents of the model at `path` and write them there; the model, read again."""
    model = load(path, provider="cpu")
    evidence = model.spec.evidence
    kept = {name: evidence[name] for name in evidence if name not in (AUDIT, SAMPLES_ONLY)}
    spec = replace(model.spec, latents=fit_latents(model.encode, data), evidence={})
    add_evidence(model.path, model.file.content, spec, kept)
    return load(path, provider="cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    model = write_latents(*model_and_images(__doc__, arguments))
    print(model.name, model.sha256, f"{model.path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
