"""The methods that a comparison tries: no augmentation, distortions, and a VAE of the draw's own images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from ..exporters import ParityReport, export
from ..runtime import VAEModel, load
from ..training import FitConfig, ImageData, fit
from ..transform import VAEAugment
from .classifier import Batch
from .experiment import Draw, TrainingSet

BATCH = 128  # images in an update of a VAE
FEW_BETA = 0.2  # for a VAE of few images, as in the demo
PASSES, FEWEST, MOST = 20, 400, 4700  # over the images, in updates of the VAE; 4,700 are ten passes over 60,000 images

Images = Callable[[Draw], Batch]
Distort = Callable[[Tensor], Tensor]
MakeVAE = Callable[[Draw], VAEModel]


def real(draw: Draw) -> Batch:
    """The labelled images as they are."""
    return draw.real


def same(images: Tensor) -> Tensor:
    """The distortion that changes nothing."""
    return images


def plain(draw: Draw, images: Images = real, seed_offset: int = 0) -> TrainingSet:
    """The images without augmentation."""
    return TrainingSet(*images(draw), seed_offset=seed_offset)


def distorted(draw: Draw, distort: Distort, images: Images = real) -> TrainingSet:
    """The images, each distorted anew whenever it is seen."""
    return TrainingSet(*images(draw), view=lambda batch, labels: (distort(batch), labels))


def perturbed(
    draw: Draw,
    vae: MakeVAE,
    distort: Distort = same,
    p: float = 0.5,
    strength: float = 1.0,
    residual: bool = False,
    images: Images = real,
) -> TrainingSet:
    """The images, distorted and then perturbed by `VAEAugment`."""
    augment = VAEAugment(draw.once(vae), p=p, strength=strength, residual=residual)
    return TrainingSet(*images(draw), view=lambda batch, labels: (augment(distort(batch)), labels))


def labelled_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images alone."""
    return fit_model(draw.labelled, vae_config(draw, draw.labelled, FEW_BETA))


def pool_vae(draw: Draw) -> VAEModel:
    """A class-conditional VAE of the labelled images and the pool, where there is one."""
    return fit_model(draw.with_pool, vae_config(draw, draw.with_pool))


def vae_config(draw: Draw, data: ImageData, beta: float = 1.0) -> FitConfig:
    """A small class-conditional VAE, with more updates for more images."""
    updates = draw.vae_updates(min(MOST, max(FEWEST, PASSES * len(data) // BATCH)))
    return replace(small_config(data, updates, beta=beta), seed=draw.seed, device=draw.budget.device)


def small_config(data: ImageData, updates: int, *, conditional: bool = True, beta: float = 1.0) -> FitConfig:
    """A small convolutional VAE trained for about `updates` updates of at most 128 images."""
    batch = min(BATCH, len(data))
    epochs = max(1, round(updates * batch / len(data)))
    return FitConfig(
        width="small", conditional=conditional, epochs=epochs, batch_size=batch, learning_rate=2e-3, beta=beta
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
