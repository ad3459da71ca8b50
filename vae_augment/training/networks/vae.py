"""The two networks, `mlp` from the classic example and a small convolutional one, and their training objective."""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.posterior import kl_divergence, perturb

NETWORKS = ("mlp", "conv")
WIDTHS = {"small": 16, "base": 32, "large": 64}  # channels after the first strided convolution


class Terms(NamedTuple):
    """The terms of the negative evidence lower bound (ELBO), which is their sum, in nats per image.

    Each [B].
    """

    reconstruction: Tensor  # cross-entropy, summed over pixels; grey levels count as probabilities
    kl: Tensor


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014).

    Images are [B, C, H, W] in [0, 1], latents [B, D], labels [B] int64 with -1 = unknown (encoded
    as a zero vector). A call gives the terms of the training objective.

    Args:
        network: "mlp" or "conv".
        image_shape: (C, H, W).
        latent_dim: D.
        classes: number of classes of a conditional model; 0 for an unconditional one.
        width: "small", "base" or "large"; ignored by `mlp`.
    """

    def __init__(
        self,
        network: str,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        classes: int = 0,
        width: str = "base",
    ) -> None:
        super().__init__()
        if network not in NETWORKS or width not in WIDTHS:
            raise InputError(
                f"No network {network!r} of width {width!r}: choose from {NETWORKS} and "
                f"{tuple(WIDTHS)}."
            )
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.noise_dim = latent_dim  # how many random numbers per image a call needs
        layers = (
            mlp_layers(image_shape) if network == "mlp" else conv_layers(image_shape, WIDTHS[width])
        )
        self.features: nn.Module = layers[0]
        self.render: nn.Module = layers[1]
        widest = layers[1][0]
        assert isinstance(widest, nn.Linear)
        hidden = widest.in_features
        flat = widest.out_features
        self.enter = nn.Linear(flat + classes, hidden)
        self.mean = nn.Linear(hidden, latent_dim)
        self.logvar = nn.Linear(hidden, latent_dim)
        self.leave = nn.Linear(latent_dim + classes, hidden)
        self.class_indices: Tensor
        self.register_buffer("class_indices", torch.arange(classes), persistent=False)

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """One-sample estimate.

        Encode `image`, add standard-normal `noise` [B, D], decode, compare with `target`.
        """
        # Under autocast the moments and logits are bfloat16; sums over dimensions and pixels need
        # float32.
        mean, logvar = (moment.float() for moment in self.encode(image, label))
        logits = self.decode_logits(perturb(mean, logvar, noise, 1.0), label).float()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return Terms(cross_entropy.flatten(1).sum(1), kl_divergence(mean, logvar))

    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the posterior q(z|x), each [B, D]."""
        hidden = self.enter(self._with_label(self.features(image), label)).relu()
        return self.mean(hidden), self.logvar(hidden)

    def decode_logits(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents -> logits of the pixels, [B, C, H, W]."""
        logits = self._render(self.leave(self._with_label(latent, label)).relu(), latent)
        return logits[
            ..., : self.image_shape[1], : self.image_shape[2]
        ]  # without the padding of `conv_layers`

    def decode(
        self, latent: Tensor, label: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Latents -> images in [0, 1]. The encoded image is not used; `RedrawingVAE` needs it."""
        return self.decode_logits(latent, label).sigmoid()

    def _render(self, hidden: Tensor, latent: Tensor) -> Tensor:
        return self.render(hidden)

    def _with_label(self, rows: Tensor, label: Tensor | None) -> Tensor:
        if not self.classes:
            return rows
        if label is None:
            label = rows.new_full((len(rows),), -1, dtype=torch.int64)
        return torch.cat([rows, (label[:, None] == self.class_indices).to(rows.dtype)], dim=1)


def mlp_layers(image_shape: tuple[int, int, int]) -> tuple[nn.Module, nn.Sequential]:
    """The outer layers of the classic example: 784 and 400-784 for an image of 28x28."""
    flat = math.prod(image_shape)
    return nn.Flatten(), nn.Sequential(nn.Linear(400, flat), nn.Unflatten(1, image_shape))


def conv_layers(image_shape: tuple[int, int, int], width: int) -> tuple[nn.Module, nn.Sequential]:
    """Strided convolutions down to a side of 4 to 7, and back up.

    One residual block at the lowest resolution.
    """
    depths, low = pyramid(image_shape, width)
    bottom, right = (
        2 ** (len(depths) - 1) * small - side
        for small, side in zip(low, image_shape[1:], strict=True)
    )
    down: list[nn.Module] = [nn.ZeroPad2d((0, right, 0, bottom))] if bottom or right else []
    for before, after in itertools.pairwise(depths):
        down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    up: list[nn.Module] = []
    for before, after in itertools.pairwise(reversed(depths)):
        up += [nn.ReLU(), upsampling(before, after)]
    bottleneck = (
        nn.Linear(4 * width, depths[-1] * math.prod(low)),
        nn.Unflatten(1, (depths[-1], *low)),
    )
    return nn.Sequential(*down, nn.Flatten()), nn.Sequential(*bottleneck, Residual(depths[-1]), *up)


def pyramid(image_shape: tuple[int, int, int], width: int) -> tuple[list[int], list[int]]:
    """The channels at each resolution from the image's own down, and height and width of the lowest."""
    channels, *sides = image_shape
    halvings = max(1, math.ceil(math.log2(max(sides) / 7)))
    return [channels, width] + [2 * width] * (halvings - 1), [
        math.ceil(side / 2**halvings) for side in sides
    ]


def upsampling(before: int, after: int) -> nn.ConvTranspose2d:
    """Twice the resolution, by as many channels as are given."""
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), the pre-activation block of He et al.

    (2016) without normalisation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.second(self.first(x.relu()).relu())
