"""Make the golden file of the newest format version. Run once per version, never for an old one.

    python tests/data/make_golden.py

A golden file is what users hold: it must load for as long as its version is read.
"""

import tempfile
from pathlib import Path

import torch

from vae_augment.exporters import export
from vae_augment.training import FitConfig, fit, load_data
from vae_augment.training.networks import NETWORKS


def main() -> None:
    torch.set_num_threads(1)
    path = Path(__file__).parent / "format-2.onnx"
    NETWORKS["redrawing"] = NETWORKS["redrawing"]._replace(width=4)  # for a small file
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "golden.safetensors")
        config = FitConfig(
            network="redrawing", latent_dim=3, beta=0.1, learning_rate=5e-3, epochs=40
        )
        fit(load_data("digits"), checkpoint, config)
        export(checkpoint, path)


if __name__ == "__main__":
    main()
