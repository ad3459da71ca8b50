"""Write model files of earlier versions again, in the newest one and without their banks.

    python -m benchmarks.without_bank vae_augment/models/*.onnx

The graph and the mixtures stay byte for byte as they are.
"""

from dataclasses import replace
from pathlib import Path

import onnx
import typer

from vae_augment.files import atomic_path
from vae_augment.model.evidence import write_metadata
from vae_augment.model.file import read_model
from vae_augment.model.spec import FORMAT_VERSION


def main(paths: list[Path]) -> None:
    for path in paths:
        before = path.stat().st_size
        content = without_bank(path)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        typer.echo(f"{path.name}: {before:,} bytes before, {len(content):,} now")


def without_bank(path: Path) -> bytes:
    """The bytes of the file at `path` in the newest version, without latents of training images."""
    file = read_model(path)
    latents = None if file.spec.latents is None else file.spec.latents.without_bank()
    model = onnx.load_from_string(file.content)
    write_metadata(model, replace(file.spec, latents=latents, format_version=FORMAT_VERSION))
    return model.SerializeToString(deterministic=True)


if __name__ == "__main__":
    typer.run(main)
