"""Data augmentation by variational autoencoders, as a torchvision transform and a dataset."""

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from . import exporters as exporters
    from .datasets.augmented import AugmentedDataset
    from .datasets.balancing import top_up
    from .datasets.mixed import MixedDataset
    from .datasets.synthetic import VAESyntheticDataset
    from .errors import VAEAugmentError
    from .model.vae_model import VAEModel, load
    from .transforms.augment import VAEAugment
else:
    # Imported on first use: torch alone is 400 MB and three seconds, which a generating process
    # does without.
    _HOMES = {
        "AugmentedDataset": "datasets.augmented",
        "MixedDataset": "datasets.mixed",
        "VAESyntheticDataset": "datasets.synthetic",
        "VAEAugmentError": "errors",
        "VAEModel": "model.vae_model",
        "load": "model.vae_model",
        "top_up": "datasets.balancing",
        "VAEAugment": "transforms.augment",
        "exporters": "exporters",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = importlib.import_module(f".{_HOMES[name]}", __name__)
        return home if name == "exporters" else getattr(home, name)

    def __dir__():
        return __all__


__all__ = [
    "AugmentedDataset",
    "MixedDataset",
    "VAEAugment",
    "VAEAugmentError",
    "VAEModel",
    "VAESyntheticDataset",
    "__version__",
    "load",
    "top_up",
]
