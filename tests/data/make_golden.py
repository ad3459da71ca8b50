"""Make the golden file of the newest format version. Run once per version, never again for an old one.

    python tests/data/make_golden.py

A golden file is what users hold: it must load for as long as its version is read.
"""

import tempfile
from pathlib import Path

import torch

from vae_augment.exporters import export
from vae_augment.training import FitConfig, fit, load_data
from vae_augment.training.networks import redrawing


def main() -> None:
    torch.set_num_threads(1)
    path = Path(__file__).parent / "format-2.onnx"
    redrawing.WIDTHS = (4, 8)  # for a small file
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "golden.safetensors")
        config = FitConfig(condition="image", latent_dim=3, beta=0.1, learning_rate=5e-3, epochs=40)
        fit(load_data("digits"), checkpoint, config)
        export(checkpoint, path)


if __name__ == "__main__":
    main()
