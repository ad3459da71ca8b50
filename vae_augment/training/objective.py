"""The evidence lower bound and its two terms, per image, in nats."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from ..latent import kl_divergence, perturb
from .networks import VAE


class Terms(NamedTuple):
    """Reconstruction (cross-entropy) and KL divergence, each [B]; their sum is minus the ELBO."""

    reconstruction: Tensor
    kl: Tensor


def cross_entropy(logits: Tensor, image: Tensor) -> Tensor:
    """Binary cross-entropy summed over an image, [B]; grey levels count as probabilities."""
    return F.binary_cross_entropy_with_logits(logits, image, reduction="none").flatten(1).sum(1)


def negative_elbo(model: VAE, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
    """One-sample estimate of minus the ELBO of `target`, encoded from `image` with the given standard-normal noise."""
    # Under autocast the moments come as bfloat16; the sums over dimensions and pixels need float32.
    mean, logvar = (moment.float() for moment in model.encode(image, label))
    logits = model.decode_logits(perturb(mean, logvar, noise, 1.0), label).float()
    return Terms(cross_entropy(logits, target), kl_divergence(mean, logvar))


class NegativeELBO(nn.Module):
    """`negative_elbo` as a module, since DistributedDataParallel wants a forward."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """As `negative_elbo`."""
        return negative_elbo(self.model, image, target, label, noise)
