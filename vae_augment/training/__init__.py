"""Training: `fit`, its networks, its data and its checkpoints. Nothing that runs a model imports this package."""

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import FitConfig
from .consistency import consistency_loss
from .data import ImageData, load_data
from .energy import EnergyVAE
from .fitting import Epoch, fit
from .judgement import judge, verdict
from .mixture import fit_latents
from .networks import VAE
from .redrawing import RedrawingVAE

__all__ = [
    "VAE",
    "Checkpoint",
    "EnergyVAE",
    "Epoch",
    "FitConfig",
    "ImageData",
    "RedrawingVAE",
    "consistency_loss",
    "fit",
    "fit_latents",
    "judge",
    "load_checkpoint",
    "load_data",
    "save_checkpoint",
    "verdict",
]
