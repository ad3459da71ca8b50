"""The source that is our own: a checkpoint of `fit`."""

import os

from ..training import load_checkpoint
from .parts import VAEParts


def from_checkpoint(path: str | os.PathLike[str]) -> VAEParts:
    """Load a checkpoint, finished or not."""
    checkpoint = load_checkpoint(path)
    model = checkpoint.build()
    return VAEParts(model, model.encode, model.decode, checkpoint.spec)
