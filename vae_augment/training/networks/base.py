"""What every network that `fit` trains can do, and the terms of its objective."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from ...model.kinds import SAMPLING, Kind
from ..data.image_data import ImageData


class Terms(NamedTuple):
    """The two terms of the negative evidence lower bound (ELBO), which is their sum, each [B].

    `reconstruction` is the network's own measure, summed over pixels; with a cross-entropy, where
    grey levels count as probabilities, both are in nats per image.
    """

    reconstruction: Tensor
    kl: Tensor


class Network(nn.Module, ABC):
    """A variational autoencoder that `fit` trains. A call gives the terms of its objective.

    Images are [B, C, H, W] in [0, 1], latents [B, D], labels [B] int64 with -1 = unknown.

    Args:
        image_shape: (C, H, W).
        latent_dim: D.
        classes: number of classes of a conditional model; 0 for an unconditional one.
        width: how wide the layers are; each network says in which unit.

    Attributes:
        noise_dim: how many standard-normal numbers per image a call takes.
        detail_dim: how many of the D dimensions are noise for the decoder, which `FitConfig` does
            not count.
        is_classic: train by Adam at a constant rate and nothing else, as the classic example does.
        kind: of the models that it makes.
    """

    detail_dim: ClassVar[int] = 0
    is_classic: ClassVar[bool] = False
    kind: ClassVar[Kind] = SAMPLING

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, classes: int, width: int
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.width = width
        self.noise_dim = latent_dim

    @abstractmethod
    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """One-sample estimate of the terms for `target`, from `image` and noise [B, noise_dim]."""

    @abstractmethod
    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the latent, each [B, D]."""

    @abstractmethod
    def decode(
        self, latent: Tensor, label: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Latents -> images in [0, 1]; `image` is the encoded one."""

    @abstractmethod
    def measure_quality(self, data: ImageData) -> dict[str, Any]:
        """Facts for `Spec.training` that `describe_quality` puts into words."""
