"""Data augmentation by variational autoencoders, as a torchvision transform and a dataset."""

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from . import exporters as exporters
    from .augmented import AugmentedDataset
    from .dataset import MixedDataset, VAESyntheticDataset
    from .errors import VAEAugmentError
    from .runtime import VAEModel, load
    from .sampling import top_up
    from .transform import VAEAugment
else:
    # Imported on first use: torch alone is 400 MB and three seconds, which a generating process does without.
    _HOMES = {
        "AugmentedDataset": "augmented",
        "MixedDataset": "dataset",
        "VAESyntheticDataset": "dataset",
        "VAEAugmentError": "errors",
        "VAEModel": "runtime",
        "load": "runtime",
        "top_up": "sampling",
        "VAEAugment": "transform",
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
