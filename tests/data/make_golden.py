"""Make the golden file of the newest format version. Run once per version, never again for an old one.

    python tests/data/make_golden.py

A golden file is what users hold: it must load for as long as its version is read.
"""

import tempfile
from pathlib import Path

import torch

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.model.evidence import with_evidence
from vae_augment.training import FitConfig, fit, load_data

CONFIG = FitConfig(
    network="conv-small", latent_dim=3, conditional=True, label_dropout=0.3, epochs=40
)
EVIDENCE = {"audit": {"membership_auc": [0.5, 0.48, 0.52], "findings": []}}


def main() -> None:
    torch.set_num_threads(1)
    path = Path(__file__).parent / "format-3.onnx"
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "golden.safetensors")
        fit(load_data("digits"), checkpoint, CONFIG)
        export(checkpoint, path)
    file = load(path).file
    path.write_bytes(with_evidence(file.content, file.spec, EVIDENCE))


if __name__ == "__main__":
    main()
