"""What every source is reduced to: an encoder, a decoder and their spec."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from ..spec import Spec


class Encode(Protocol):
    """Images [B, C, H, W] in [0, 1] (and labels [B], when conditional) -> mean and log-variance, each [B, D]."""

    def __call__(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode."""


class Decode(Protocol):
    """Latents [B, D] (and labels [B], when conditional) -> images [B, C, H, W] in [0, 1]."""

    def __call__(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Decode."""


@dataclass(frozen=True)
class VAEParts:
    """A VAE from anywhere. `module` owns the weights that `encode` and `decode` use."""

    module: nn.Module
    encode: Encode
    decode: Decode
    spec: Spec
