"""The networks that `fit` trains: one class per file, and their names."""

from typing import NamedTuple

from ...errors import InputError
from .base import Network
from .energy import EnergyVAE
from .redrawing import RedrawingVAE
from .vae import MLPVAE, ConvVAE


class Choice(NamedTuple):
    """What a name of `NETWORKS` stands for."""

    network: type[Network]
    width: int


NETWORKS = {
    "mlp": Choice(MLPVAE, 400),
    "conv-small": Choice(ConvVAE, 16),
    "conv": Choice(ConvVAE, 32),
    "conv-large": Choice(ConvVAE, 64),
    "energy-small": Choice(EnergyVAE, 16),
    "energy": Choice(EnergyVAE, 32),
    "energy-large": Choice(EnergyVAE, 64),
    "redrawing": Choice(RedrawingVAE, 16),
}


def find_network(name: str) -> Choice:
    """The entry of `NETWORKS`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in NETWORKS:
        raise InputError(f"network is {name!r}; choose one of {', '.join(NETWORKS)}.")
    return NETWORKS[name]


def build_network(
    image_shape: tuple[int, int, int], latent_dim: int, *, network: str, classes: int = 0
) -> Network:
    """A new network, by its name in `NETWORKS`."""
    choice = find_network(network)
    return choice.network(image_shape, latent_dim, classes, choice.width)
