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
from ..model.spec import FORMAT_VERSION, SPEC_KEY, Spec
from .networks import build_network
from .networks.base import Network

CHECKPOINT_KEY = "vae_augment.checkpoint"
CHECKPOINT_VERSION = 3  # versions 1 and 2 are read too
FIRST_VERSION_OF_REDRAWING = 3  # before, that network had other layers


@dataclass(frozen=True)
class Checkpoint:
    """A trained network, or one in the middle of its training.

    Attributes:
        spec: what the model is; `spec.training` holds the config, the losses and `epochs_run`.
        network: the arguments of `build_network` beside those that the spec holds.
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

    def build(self) -> Network:
        """The network with its weights, in evaluation mode."""
        # The initial weights would take numbers from the user's generator.
        with torch.random.fork_rng(devices=[]):
            model = build_network(self.spec.image_shape, self.spec.latent_dim, **self.network)
        model.load_state_dict(dict(self.weights))
        return model.eval()


def save_checkpoint(
    checkpoint: Checkpoint, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write `checkpoint` to `path`. A kill or a full disk leaves what was there before."""
    latents = checkpoint.spec.latents
    arrays = {} if latents is None else vars(latents)
    groups = {
        "weights": checkpoint.weights,
        "state": checkpoint.state,
        "latents": {name: torch.from_numpy(array) for name, array in arrays.items()},
    }
    tensors = join_groups(groups)
    facts = {"version": CHECKPOINT_VERSION, "network": dict(checkpoint.network)}
    facts |= replace(checkpoint.spec, latents=None).to_metadata()
    write_tensors(path, CHECKPOINT_KEY, facts, tensors, overwrite=overwrite)


def write_tensors(
    path: str | os.PathLike[str],
    key: str,
    facts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    overwrite: bool,
) -> None:
    """Write tensors, and below `key` the facts with the checksum of both, whole or not at all."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    checked = {**facts, "sha256": content_sha256(facts, copies)}
    # One key, because safetensors writes several in an order that changes from run to run.
    content = safetensors.torch.save(copies, metadata={key: json.dumps(checked, sort_keys=True)})
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
    version = facts.get("version", 0)
    if version not in range(1, CHECKPOINT_VERSION + 1):
        raise ModelFormatError(
            f"its checkpoint version is {version!r}; this vae-augment reads 1 to "
            f"{CHECKPOINT_VERSION}"
        )
    checksum = facts.pop("sha256", None)  # older files have none
    if facts.keys() != {"version", "network", SPEC_KEY}:
        raise ModelFormatError(f"its metadata have the keys {sorted(facts)}")
    if checksum is not None and checksum != content_sha256(facts, tensors):
        raise ModelFormatError("its content does not have the checksum that it was written with")
    latents = {name: np.asarray(array) for name, array in select_group(tensors, "latents").items()}
    spec = replace(
        Spec.from_metadata(facts),
        latents=Latents(**latents) if latents else None,
        format_version=FORMAT_VERSION,
    )
    network = dict(facts["network"])
    if version == 1:
        network = _network_of_version_1(network)
        spec = replace(spec, training=_training_of_version_1(spec.training))
    if network.get("network") == "redrawing" and version < FIRST_VERSION_OF_REDRAWING:
        raise ModelFormatError(
            "an earlier vae-augment trained it, whose redrawing network had other layers. Train "
            "it again with --redraw, or export it with that version; its .onnx files still load"
        )
    weights = select_group(tensors, "weights")
    _check_weights(spec, network, weights)
    return Checkpoint(spec, network, weights, select_group(tensors, "state"))


def _network_of_version_1(network: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 had a field for the width, and none for a network that takes no labels."""
    kept = {name: value for name, value in network.items() if name not in ("network", "width")}
    name = _name_of_version_1(str(network["network"]), str(network.get("width", "base")))
    return {"classes": 0} | kept | {"network": name}


def _training_of_version_1(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 had four fields in place of the network's name."""
    if "network" not in facts:
        return dict(facts)
    removed = ("network", "width", "objective", "condition")
    kept = {name: value for name, value in facts.items() if name not in removed}
    name = str(facts["network"])
    if facts.get("objective") == "energy":
        name = "energy"
    if facts.get("condition") == "image":
        name = "redrawing"
    return kept | {"network": _name_of_version_1(name, str(facts.get("width", "base")))}


def _name_of_version_1(network: str, width: str) -> str:
    has_width = network in ("conv", "energy") and width != "base"
    return f"{network}-{width}" if has_width else network


def _check_weights(spec: Spec, network: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    # Without its memory, of which a forged file could ask for any amount.
    with torch.device("meta"):
        built = build_network(spec.image_shape, spec.latent_dim, **network).state_dict()
    expected = {name: tensor.shape for name, tensor in built.items()}
    if expected != {name: tensor.shape for name, tensor in weights.items()}:
        raise ModelFormatError(f"its weights are not those of the network {dict(network)}")


def content_sha256(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The digest of facts and tensors, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():  # an empty bank has no bytes to look at
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def join_groups(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Groups of tensors as one mapping: {"a": {"b": tensor}} -> {"a.b": tensor}."""
    return {
        f"{group}.{name}": tensor
        for group, tensors in groups.items()
        for name, tensor in tensors.items()
    }


def select_group(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """One of the groups that `join_groups` joined."""
    prefix = f"{group}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
