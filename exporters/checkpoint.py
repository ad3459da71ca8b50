"""The source that is a checkpoint of `fit`."""

import os

from ..training import load_checkpoint
from .exportable import ExportableVAE


def from_checkpoint(path: str | os.PathLike[str]) -> ExportableVAE:
    """Load our own network; it takes and gives what the file does."""
    checkpoint = load_checkpoint(path)
    network = checkpoint.build()
    return ExportableVAE(network, network.encode, network.decode, checkpoint.spec)
