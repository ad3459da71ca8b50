"""The Gaussian posterior of a VAE."""

from torch import Tensor


def perturb(mean: Tensor, logvar: Tensor, noise: Tensor, strength: float) -> Tensor:
    """mean + strength * exp(logvar / 2) * noise.

    Kingma and Welling (2014), section 2.4, with a scale. All [B, D].
    """
    return mean + strength * (0.5 * logvar).exp() * noise


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|x) || N(0, I)) summed over latent dimensions, in nats, [B].

    Kingma and Welling (2014), appendix B.
    """
    return -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(1)


def posterior_length(logvar: Tensor) -> Tensor:
    """The root-mean-square length of the posterior's noise, sqrt(sum of variances), [B, 1]."""
    return logvar.exp().sum(1, keepdim=True).sqrt()
