"""Data augmentation by variational autoencoders, as a torchvision transform and a dataset."""

from ._version import __version__
from .dataset import MixedDataset, VAESyntheticDataset
from .errors import VAEAugmentError
from .runtime import VAEModel, load
from .transform import VAEAugment

__all__ = ["MixedDataset", "VAEAugment", "VAEAugmentError", "VAEModel", "VAESyntheticDataset", "__version__", "load"]
