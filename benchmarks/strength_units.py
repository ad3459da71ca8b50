"""Measure what strength 1 is on a bundled model, and write it into the model's file.

    python -m benchmarks.strength_units mnist mnist --root DIR    # DIR as for torchvision
    python -m benchmarks.strength_units fashion-mnist fashion-mnist --root DIR
    python -m benchmarks.glyph_images DATA glyphs.npz
    python -m benchmarks.strength_units glyphs glyphs.npz

DATA are the images of the training. `fit` does the same by itself. Only the metadata change: the
weights and the latents stay as they are. The new sha256 belongs into vae_augment/models/README.md.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import model_and_images
from vae_augment import VAEModel, load
from vae_augment.model.evidence import add_evidence
from vae_augment.training import ImageData, measure_unit


def write_unit(path: str | Path, data: ImageData) -> VAEModel:
    """Measure the unit of the model at `path` and write it there; the model, read again."""
    model = load(path, provider="cpu")
    unit = measure_unit(model.encode, model.decode, model.spec.kind, data)
    add_evidence(model.path, model.file.content, model.spec, unit)
    changed = load(path, provider="cpu")
    assert changed.weights_sha256 == model.weights_sha256
    return changed


def main(arguments: Sequence[str] | None = None) -> None:
    model = write_unit(*model_and_images(__doc__, arguments))
    print(model.name, model.sha256, f"{model.path.stat().st_size:,} bytes")
    print(model.spec.evidence)


if __name__ == "__main__":
    main()
