"""Checkpoints.

One .safetensors file with JSON metadata, never a pickle, always written whole or not at all.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..errors import ModelFormatError, NotFoundError
from ..files import atomic_path
from ..model.latents import Latents
from ..model.spec import SPEC_KEY, Spec
from .networks.energy import EnergyVAE
from .networks.redrawing import RedrawingVAE
from .networks.vae import VAE

CHECKPOINT_KEY = "vae_augment.checkpoint"
CHECKPOINT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A trained network, or one in the middle of its training.

    Attributes:
        spec: what the model is; `spec.training` holds the config, the losses and `epochs_run`.
        network: the arguments that build it, as `VAE` takes them.
        weights: the tensors of its state_dict (the averaged ones, where averaging is on).
        state: what an unfinished training needs to go on; empty once it is finished.
    """

    spec: Spec
    network: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    state: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """True when training has run to its end."""
        return not self.state

    def build(self) -> VAE | RedrawingVAE:
        """The network with its weights, in evaluation mode."""
        with torch.random.fork_rng(
            devices=[]
        ):  # initial weights would draw from the user's generator
            model = build_network(self.spec.image_shape, self.spec.latent_dim, **self.network)
        model.load_state_dict(dict(self.weights))
        return model.eval()


def build_network(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    *,
    network: str,
    classes: int = 0,
    width: str = "base",
) -> VAE | RedrawingVAE:
    """A new network.

    "mlp", "conv", "redrawing" (conditioned on an image) or "energy" (with random detail).
    """
    if network == "redrawing":
        return RedrawingVAE(image_shape, latent_dim)
    if network == "energy":
        return EnergyVAE(image_shape, latent_dim, classes, width)
    return VAE(network, image_shape, latent_dim, classes, width)


def save_checkpoint(
    checkpoint: Checkpoint, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write `checkpoint` to `path` by `atomic_path`.

    A kill or a full disk leaves what was there before.
    """
    latents = checkpoint.spec.latents
    arrays = (
        {}
        if latents is None
        else {name: torch.from_numpy(array) for name, array in vars(latents).items()}
    )
    tensors = flatten({"weights": checkpoint.weights, "state": checkpoint.state, "latents": arrays})
    # One key, because safetensors writes several in an order that changes from run to run.
    facts = {"version": CHECKPOINT_VERSION, "network": dict(checkpoint.network)}
    facts |= replace(checkpoint.spec, latents=None).to_metadata()
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    facts["sha256"] = _sha256(facts, tensors)
    content = safetensors.torch.save(
        tensors, metadata={CHECKPOINT_KEY: json.dumps(facts, sort_keys=True)}
    )
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        NotFoundError: no such file.
        ModelFormatError: damaged, or not a checkpoint of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(
            f"There is no checkpoint {path}. Make one with: vae-augment fit DATA -o {path}"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFormatError(f"{path} is not a readable .safetensors file: {error}.") from None
    if CHECKPOINT_KEY not in metadata:
        raise ModelFormatError(
            f"{path} is a .safetensors file, but not a checkpoint of vae-augment fit."
        )
    try:
        return _parsed(json.loads(metadata[CHECKPOINT_KEY]), tensors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFormatError(f"{path} cannot be read as a checkpoint: {error}.") from None


def _parsed(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> Checkpoint:
    if facts.get("version") != CHECKPOINT_VERSION:
        raise ModelFormatError(
            f"its checkpoint version is {facts.get('version')!r}; this vae-augment reads "
            f"{CHECKPOINT_VERSION}"
        )
    expected = facts.pop("sha256", None)  # older files have none
    if facts.keys() != {"version", "network", SPEC_KEY}:
        raise ModelFormatError(f"its metadata have the keys {sorted(facts)}")
    if expected is not None and expected != _sha256(facts, tensors):
        raise ModelFormatError("its content does not have the checksum that it was written with")
    latents = {name: np.asarray(tensor) for name, tensor in part(tensors, "latents").items()}
    spec = replace(Spec.from_metadata(facts), latents=Latents(**latents) if latents else None)
    network = dict(facts["network"])
    weights = part(tensors, "weights")
    with torch.device(
        "meta"
    ):  # without its memory, of which a forged file could ask for any amount
        expected = build_network(spec.image_shape, spec.latent_dim, **network).state_dict()
    if {name: tensor.shape for name, tensor in expected.items()} != {
        name: t.shape for name, t in weights.items()
    }:
        raise ModelFormatError(f"its weights are not those of the network {network}")
    return Checkpoint(spec, network, weights, part(tensors, "state"))


def _sha256(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def flatten(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Groups of tensors as one mapping: {"a": {"b": tensor}} -> {"a.b": tensor}."""
    return {
        f"{group}.{name}": tensor
        for group, tensors in groups.items()
        for name, tensor in tensors.items()
    }


def part(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """One of the groups that `flatten` joined."""
    prefix = f"{group}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
