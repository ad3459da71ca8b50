"""The small VAEs of a comparison, each trained on a draw's own images."""

import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..exporters import ParityReport, export
from ..model.vae_model import VAEModel, load
from ..training import FitConfig, ImageData, fit
from .experiment import Draw

BATCH = 128  # images per update of a VAE
FEW_BETA = 0.2  # the weight of the KL term for few images, as in the demo
SMALL = FitConfig(
    network="conv-small", label_dropout=0.5, learning_rate=2e-3
)  # `VAEAugment` gets no labels in a comparison
PASSES, FEWEST, MOST = (
    20,
    400,
    4700,
)  # passes of a VAE over its images, and the limits of its number of updates


def labelled_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images alone."""
    return fit_model(draw.labelled, vae_config(draw, draw.labelled, FEW_BETA))


def pool_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images and the pool."""
    return fit_model(draw.with_pool, vae_config(draw, draw.with_pool))


def given_vae(model: str, draw: Draw, sha256: str | None = None) -> VAEModel:
    """A bundled VAE, or that of an .onnx file, which must have the digest `sha256` if that is given."""
    return load(model, provider="auto" if draw.device == "cuda" else "cpu", sha256=sha256)


def vae_config(draw: Draw, data: ImageData, beta: float = 1.0) -> FitConfig:
    """A small class-conditional VAE, with more updates for more images."""
    updates = min(MOST, max(FEWEST, PASSES * len(data) // BATCH))
    return replace(small_config(data, updates, beta=beta), seed=draw.seed, device=draw.device)


def small_config(
    data: ImageData, updates: int, *, conditional: bool = True, beta: float = 1.0
) -> FitConfig:
    """A small convolutional VAE trained for about `updates` updates of at most 128 images."""
    batch = min(BATCH, len(data))
    epochs = max(1, round(updates * batch / len(data)))
    return replace(SMALL, conditional=conditional, epochs=epochs, batch_size=batch, beta=beta)


def fit_and_export(data: ImageData, path: Path, config: FitConfig) -> tuple[VAEModel, ParityReport]:
    """Train a VAE and export it to `path`, replacing what is there."""
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "model.safetensors")
        with warnings.catch_warnings():
            # What a few images are worth is what a comparison asks.
            warnings.filterwarnings("ignore", ".* has too few images of ", UserWarning)
            fit(data, checkpoint, config)
        report = export(checkpoint, path, overwrite=True)
    return load(path, provider="auto" if config.device == "cuda" else "cpu"), report


def fit_model(data: ImageData, config: FitConfig) -> VAEModel:
    """Train a VAE and load it. Its file is deleted; the model keeps the bytes that it has read."""
    with TemporaryDirectory() as folder:
        return fit_and_export(data, Path(folder, "model.onnx"), config)[0]
