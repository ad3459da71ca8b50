"""The evidence lower bound (ELBO) and its two terms, per image, in nats."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from ..latent import kl_divergence, perturb
from .networks import VAE


class Terms(NamedTuple):
    """Reconstruction (cross-entropy) and KL divergence, each [B]; their sum is the negative ELBO."""

    reconstruction: Tensor
    kl: Tensor


class NegativeELBO(nn.Module):
    """One-sample estimate of the negative ELBO; a module because DistributedDataParallel needs one."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """Encode `image`, add standard-normal `noise` [B, D], and compare the decoded image with `target`.

        The cross-entropy is summed over pixels; grey levels count as probabilities.
        """
        # Under autocast the moments and logits are bfloat16; sums over dimensions and pixels need float32.
        mean, logvar = (moment.float() for moment in self.model.encode(image, label))
        logits = self.model.decode_logits(perturb(mean, logvar, noise, 1.0), label).float()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return Terms(cross_entropy.flatten(1).sum(1), kl_divergence(mean, logvar))
