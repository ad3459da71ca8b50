"""Training: `fit`, its networks, data and checkpoints. Nothing that runs a model imports this."""

from ..packages import require

require("vae_augment.training", "sklearn", "threadpoolctl", "tqdm")

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import FitConfig
from .data.image_data import ImageData
from .data.loading import load_data
from .fitting import Epoch, fit
from .latent_distribution import fit_latents
from .quality import describe_quality
from .resuming import holds_same_run
from .strength_unit import measure_unit

__all__ = [
    "Checkpoint",
    "Epoch",
    "FitConfig",
    "ImageData",
    "describe_quality",
    "fit",
    "fit_latents",
    "holds_same_run",
    "load_checkpoint",
    "load_data",
    "measure_unit",
    "save_checkpoint",
]
