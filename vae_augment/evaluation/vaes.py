"""The small VAEs of a comparison, each trained on the images of one repetition."""

import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..exporters import ParityReport, export
from ..model.vae_model import VAEModel, load
from ..training import FitConfig, ImageData, fit
from .repetition import Repetition

BATCH = 128  # images per update of a VAE
FEW_BETA = 0.2  # the weight of the KL term for few images, as in the demo
# Half of the labels are hidden, because `VAEAugment` gets no labels in a comparison. Images are as
# they are, because a comparison distorts them itself, with or without a VAE.
SMALL = FitConfig(network="conv-small", label_dropout=0.5, learning_rate=2e-3, distort=False)
PASSES = 20  # of a VAE over its images, within these numbers of updates:
FEWEST_UPDATES = 400
MOST_UPDATES = 4700


def labelled_vae(repetition: Repetition) -> VAEModel:
    """A class-conditional VAE of the labelled images alone."""
    config = vae_config(repetition, repetition.labelled, FEW_BETA)
    return fit_model(repetition.labelled, config)


def pool_vae(repetition: Repetition) -> VAEModel:
    """A class-conditional VAE of the labelled images and the pool."""
    data = repetition.with_pool
    return fit_model(data, vae_config(repetition, data))


def given_vae(model: str, repetition: Repetition, sha256: str | None = None) -> VAEModel:
    """A bundled VAE, or that of an .onnx file; with `sha256`, it must have that digest."""
    provider = "auto" if repetition.device == "cuda" else "cpu"
    return load(model, provider=provider, sha256=sha256)


def vae_config(repetition: Repetition, data: ImageData, beta: float = 1.0) -> FitConfig:
    """A small class-conditional VAE, with more updates for more images."""
    updates = min(MOST_UPDATES, max(FEWEST_UPDATES, PASSES * len(data) // BATCH))
    config = small_config(data, updates, beta=beta)
    return replace(config, seed=repetition.seed, device=repetition.device)


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
        model, _ = fit_and_export(data, Path(folder, "model.onnx"), config)
    return model
