"""The VAEs that comparisons train: trained, exported and loaded, as a user would."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ..exporters import ParityReport, export
from ..runtime import VAEModel, load
from ..training import FitConfig, ImageData, fit

BATCH = 128


def small_config(
    data: ImageData, updates: int, *, conditional: bool = True, beta: float = 1.0, seed: int = 0, device: str = "cpu"
) -> FitConfig:
    """A small convolutional VAE trained for about `updates` updates of at most 128 images."""
    batch = min(BATCH, len(data))
    return FitConfig(
        width="small",
        conditional=conditional,
        epochs=max(1, round(updates * batch / len(data))),
        batch_size=batch,
        learning_rate=2e-3,
        beta=beta,
        seed=seed,
        device=device,
    )


def fit_and_export(data: ImageData, path: Path, config: FitConfig) -> tuple[VAEModel, ParityReport]:
    """Train a VAE and export it to `path`, replacing what is there."""
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "model.safetensors")
        fit(data, checkpoint, config)
        report = export(checkpoint, path, overwrite=True)
    return load(path, provider="auto" if config.device == "cuda" else "cpu"), report


def fit_model(data: ImageData, config: FitConfig) -> VAEModel:
    """Train a VAE and load it from a file that is gone afterwards: a model keeps the bytes it has read."""
    with TemporaryDirectory() as folder:
        return fit_and_export(data, Path(folder, "model.onnx"), config)[0]
