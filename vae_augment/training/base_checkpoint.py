"""Checkpoints without a network of their own: a model file, and new latents to draw from.

One .safetensors file with JSON metadata, never a pickle, always written whole or not at all.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from ..errors import ModelFormatError
from ..model.file import ModelFile, check_model
from ..model.latents import Latents
from ..model.spec import SPEC_KEY, Spec
from .checkpoint import content_sha256, join_groups, select_group, write_tensors

BASE_CHECKPOINT_KEY = "vae_augment.base_checkpoint"
BASE_CHECKPOINT_VERSION = 1


@dataclass(frozen=True)
class BaseCheckpoint:
    """A model that takes its encoder and decoder from the file of another one, the base.

    Attributes:
        spec: what the model is, with the latents that it draws from.
        base: the file of the base, which passed every check.
    """

    spec: Spec
    base: ModelFile


def save_base_checkpoint(
    checkpoint: BaseCheckpoint, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write `checkpoint` to `path`. A kill or a full disk leaves what was there before."""
    assert checkpoint.spec.latents is not None  # they are what it is made for
    content = np.frombuffer(checkpoint.base.content, np.uint8).copy()
    arrays = {
        name: torch.from_numpy(array) for name, array in vars(checkpoint.spec.latents).items()
    }
    tensors = join_groups({"base": {"content": torch.from_numpy(content)}, "latents": arrays})
    facts: dict[str, Any] = {"version": BASE_CHECKPOINT_VERSION}
    facts |= replace(checkpoint.spec, latents=None).to_metadata()
    write_tensors(path, BASE_CHECKPOINT_KEY, facts, tensors, overwrite=overwrite)


def load_base_checkpoint(path: str | os.PathLike[str]) -> BaseCheckpoint | None:
    """Read a checkpoint that `save_base_checkpoint` wrote; None for any other file.

    Raises:
        ModelFormatError: it is one, but damaged, or its base is refused.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if BASE_CHECKPOINT_KEY not in metadata:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return _parsed(path, json.loads(metadata[BASE_CHECKPOINT_KEY]), tensors)
    except (OSError, safetensors.SafetensorError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read as a checkpoint: {error}.") from None


def _parsed(path: Path, facts: dict[str, Any], tensors: dict[str, Tensor]) -> BaseCheckpoint:
    if facts.get("version") != BASE_CHECKPOINT_VERSION:
        raise ModelFormatError(
            f"its version is {facts.get('version')!r}; this vae-augment reads "
            f"{BASE_CHECKPOINT_VERSION}"
        )
    checksum = facts.pop("sha256")
    if facts.keys() != {"version", SPEC_KEY} or checksum != content_sha256(facts, tensors):
        raise ModelFormatError("its content is not what was written")
    arrays = {name: np.asarray(array) for name, array in select_group(tensors, "latents").items()}
    spec = replace(Spec.from_metadata(facts), latents=Latents(**arrays))
    content = select_group(tensors, "base")["content"].numpy().tobytes()
    return BaseCheckpoint(spec, check_model(path, content))
