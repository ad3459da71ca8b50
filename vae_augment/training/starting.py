"""A run that starts from the weights of another one."""

import os
from dataclasses import replace

import torch

from ..errors import InputError
from .checkpoint import Checkpoint, load_checkpoint
from .config import FitConfig
from .networks import find_network
from .networks.base import Network

START = "start_sha256"  # in `Spec.training`: the digest of the weights that a run started with
PER_CLASS = ("enter.weight", "leave.weight")  # whose last columns are those of the classes

Start = Checkpoint | str | os.PathLike[str]


def load_start(start: Start | None) -> Checkpoint | None:
    """The checkpoint to start from, if there is one."""
    return start if start is None or isinstance(start, Checkpoint) else load_checkpoint(start)


def like_start(config: FitConfig, start: Checkpoint | None) -> FitConfig:
    """`config` with the network and the size of the latent of `start`, where it has none."""
    if start is None:
        return config
    name = start.network["network"]
    latent_dim = start.spec.latent_dim - find_network(name).network.detail_dim
    return replace(
        config,
        network=config.network or name,
        latent_dim=config.latent_dim or latent_dim,
    )


def start_from(network: Network, classes: tuple[str, ...], start: Checkpoint) -> None:
    """Give `network` the weights of `start`, those of the classes only if they are the same.

    Raises:
        InputError: `start` is another network, or one of images of another shape.
    """
    given = start.build()
    ours = _description(network)
    theirs = _description(given)
    if ours != theirs:
        raise InputError(
            f"The checkpoint to start from is of {theirs}; this run is of {ours}. Give one of the "
            "same network and shape of images, or leave it out."
        )
    has_same_classes = given.classes == network.classes and start.spec.classes == classes
    with torch.no_grad():
        for name, own in network.state_dict().items():
            if name in PER_CLASS and not has_same_classes:
                columns = own.shape[1] - network.classes
                own[:, :columns] = start.weights[name][:, :columns]
            else:
                own.copy_(start.weights[name])


def _description(network: Network) -> str:
    channels, height, width = network.image_shape
    return (
        f"{type(network).__name__} of width {network.width} with {network.latent_dim} latent "
        f"dimensions and images of {channels}x{height}x{width}"
    )
