"""Fit the latent distribution of a model anew, by its own encoder, and write it into its file.

    python -m benchmarks.latents fashion-mnist fashion-mnist --root DIR    # DIR as for torchvision

DATA are the images of the training. The weights stay as they are; what was measured of the
samples before is left out. The new sha256 belongs into vae_augment/models/README.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from vae_augment import VAEModel, load
from vae_augment.files import atomic_path
from vae_augment.model.evidence import AUDIT, SAMPLES_ONLY, with_evidence
from vae_augment.training import ImageData, fit_latents, load_data


def write_latents(path: str | Path, data: ImageData) -> VAEModel:
    """Fit the latents of the model at `path` and write them there; the model, read again."""
    model = load(path, provider="cpu")

    def encode(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        return model.encode(images, labels)

    evidence = model.spec.evidence
    kept = {name: evidence[name] for name in evidence if name not in (AUDIT, SAMPLES_ONLY)}
    spec = replace(model.spec, latents=fit_latents(encode, data), evidence={})
    with atomic_path(model.path) as temporary:
        temporary.write_bytes(with_evidence(model.file.content, spec, kept))
    return load(path, provider="cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name, or the path of an .onnx file")
    parser.add_argument("data", help="its training images, as for fit")
    parser.add_argument("--root", help="folder of torchvision's data sets")
    options = parser.parse_args(arguments)
    model = write_latents(options.model, load_data(options.data, options.root))
    print(model.name, model.sha256, f"{model.path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
