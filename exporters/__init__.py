"""Export: turn a trained VAE into one checked .onnx file. Imported as `vae_augment.exporters`."""

import os
from pathlib import Path

from ..files import atomic_path, refuse_existing
from ..modelfile import read_model
from .checkpoint import from_checkpoint
from .graph import model_bytes
from .parity import TOLERANCE, ParityReport, check_parity
from .parts import VAEParts

__all__ = ["TOLERANCE", "ParityReport", "VAEParts", "export"]


def export(source: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> ParityReport:
    """Write the VAE at `source` to `path` as one .onnx file, and compare it with PyTorch before it gets its name.

    Args:
        source: a checkpoint of `fit`.
        path: the file to write.
        overwrite: replace what is at `path`.

    Returns:
        The largest differences from PyTorch, part by part.

    Raises:
        OutputExistsError: `path` exists.
        ExportError: the graph differs from PyTorch by more than 1e-5, or breaks a rule of the format; nothing is left.
    """
    path = refuse_existing(path, overwrite)
    return write(from_checkpoint(source), path)


def write(parts: VAEParts, path: Path) -> ParityReport:
    """Write `parts` to `path`, whole and checked or not at all."""
    content = model_bytes(parts)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        report = check_parity(parts, read_model(temporary))
    return report
