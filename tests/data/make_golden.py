"""Make the golden file of the current format version. Run once a version, never again for an old one.

    python tests/data/make_golden.py

A golden file is what users hold: it must load for as long as its version is read.
"""

import tempfile
from pathlib import Path

import torch

from vae_augment.exporters import export
from vae_augment.spec import FORMAT_VERSION
from vae_augment.training import FitConfig, fit, load_data


def main() -> None:
    torch.set_num_threads(1)
    path = Path(__file__).parent / f"format-{FORMAT_VERSION}.onnx"
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "golden.safetensors")
        fit(load_data("digits"), checkpoint, FitConfig(width="small", latent_dim=3, conditional=True, epochs=40))
        export(checkpoint, path)


if __name__ == "__main__":
    main()
