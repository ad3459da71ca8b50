"""Training.

`fit`, its networks, its data and its checkpoints. Nothing that runs a model imports this package.
"""

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import FitConfig
from .data.image_data import ImageData
from .data.loading import load_data
from .fitting import Epoch, fit
from .latent_distribution import fit_latents
from .networks.energy import EnergyVAE
from .networks.redrawing import RedrawingVAE
from .networks.vae import VAE
from .quality import judge, verdict

__all__ = [
    "VAE",
    "Checkpoint",
    "EnergyVAE",
    "Epoch",
    "FitConfig",
    "ImageData",
    "RedrawingVAE",
    "fit",
    "fit_latents",
    "judge",
    "load_checkpoint",
    "load_data",
    "save_checkpoint",
    "verdict",
]
