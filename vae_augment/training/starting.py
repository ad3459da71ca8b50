"""A run that starts from the weights of another one."""

import os
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import InputError
from ..model.file.bundled import BUNDLED_FOLDER
from .checkpoint import Checkpoint, load_checkpoint
from .config import FitConfig
from .data.image_data import ImageData
from .networks import find_network
from .networks.base import Network

PHOTOGRAPHS = "photographs"  # the bundled start: "energy" of small grey photographs
SUITED = "suited"
# What starts from `PHOTOGRAPHS` by default. Of 100 images per class samples taught more too, but an
# audit told the training images from others by 0.697, in place of 0.600 from random weights.
MOST_IMAGES = 1000
LEAST_PER_CLASS = 200
START = "start_sha256"  # in `Spec.training`: the digest of the weights that a run started with
PER_CLASS = ("enter.weight", "leave.weight")  # whose last columns are those of the classes

Start = Checkpoint | str | os.PathLike[str]


def read_start(start: Start | None) -> Checkpoint | str | None:
    """`start` with its file read; "suited" stays as it is, because it depends on the images.

    Raises:
        NotFoundError: there is no file.
        ModelFormatError: it is no checkpoint.
    """
    if start is None or start == SUITED or isinstance(start, Checkpoint):
        return start
    return load_checkpoint(_photographs() if start == PHOTOGRAPHS else start)


def find_start(start: Start | None, data: ImageData, config: FitConfig) -> Checkpoint | None:
    """The checkpoint to start from, if there is one.

    Args:
        start: a checkpoint, its path, "photographs", None, or "suited": "photographs" for images of
            its shape that its network learns, at least `LEAST_PER_CLASS` per class on average and
            at most `MOST_IMAGES` in all, else None.
        data: the images of the run.
        config: its settings.

    Raises:
        NotFoundError: as for `read_start`.
        ModelFormatError: as for `read_start`.
    """
    found = read_start(start)
    if found is None or isinstance(found, Checkpoint):
        return found
    per_class = int((data.labels >= 0).sum()) / max(1, len(data.classes))
    if len(data) > MOST_IMAGES or per_class < LEAST_PER_CLASS:
        return None
    photographs = load_checkpoint(_photographs())
    return photographs if _suits(photographs, data, config) else None


def with_start(
    config: FitConfig, start: Start | None, data: ImageData
) -> tuple[FitConfig, Checkpoint | None]:
    """`config` with the start's network and size of the latent, where it has none; the start."""
    found = find_start(start, data, config)
    if found is None:
        return config, None
    name, latent_dim = _network_of(found)
    network = config.network or name
    return replace(config, network=network, latent_dim=config.latent_dim or latent_dim), found


def _photographs() -> Path:
    return BUNDLED_FOLDER / f"{PHOTOGRAPHS}.safetensors"


def _suits(start: Checkpoint, data: ImageData, config: FitConfig) -> bool:
    """Whether a run would learn images by the network of `start` anyway."""
    settled = config.for_data(data)
    has_same_network = (settled.network, settled.latent_dim) == _network_of(start)
    return has_same_network and data.image_shape == start.spec.image_shape


def _network_of(start: Checkpoint) -> tuple[str, int]:
    """The network's name, and the size of the latent without its detail."""
    name = start.network["network"]
    return name, start.spec.latent_dim - find_network(name).network.detail_dim


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
