"""Clean noisy images with a VAE that was trained for it.

    python examples/denoise.py --epochs 60 --noise 0.5

The images are scikit-learn's digits. On the command line: `vae-augment fit DATA --denoise 0.5`,
`vae-augment export`, `vae-augment denoise`.
"""

import argparse
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.training import FitConfig, fit, load_data


def decibels(images: Tensor, clean: Tensor) -> float:
    """The peak signal-to-noise ratio of images in [0, 1]: larger is cleaner."""
    return -10 * math.log10((images - clean).square().mean())


def main() -> None:
    """Train, add noise, clean, and print how far both are from the clean images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--noise", type=float, default=0.5, help="its standard deviation")
    options = parser.parse_args()

    # In training, noise is added to the input and not to the target.
    config = FitConfig(denoise=options.noise, beta=0.1, network="conv-small", epochs=options.epochs)
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "denoiser.safetensors")
        fit(load_data("digits"), checkpoint, config)
        export(checkpoint, Path(folder, "denoiser.onnx"))
        model = load(Path(folder, "denoiser.onnx"))

        clean = load_data("digits", train=False).images / 255
        torch.manual_seed(0)
        noisy = (clean + options.noise * torch.randn(clean.shape)).clamp(0, 1)
        cleaned = model.reconstruct(noisy)
    print(f"noisy   {decibels(noisy, clean):.1f} dB")
    print(f"cleaned {decibels(cleaned, clean):.1f} dB")


if __name__ == "__main__":
    main()
