"""The two networks: `mlp`, the classic tutorial's, and `conv`, a small convolutional one."""

import itertools
import math

import torch
from torch import Tensor, nn

from ..errors import InputError

NETWORKS = ("mlp", "conv")
WIDTHS = {"small": 16, "base": 32, "large": 64}  # channels after the first strided convolution


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014).

    Images are [B, C, H, W] in [0, 1], latents [B, D], labels [B] int64 with -1 = unknown (a zero vector inside).

    Args:
        network: "mlp" or "conv".
        image_shape: (C, H, W).
        latent_dim: D.
        classes: how many classes condition the model; 0 for an unconditional one.
        width: "small", "base" or "large"; `mlp` has one width.
    """

    def __init__(
        self, network: str, image_shape: tuple[int, int, int], latent_dim: int, classes: int = 0, width: str = "base"
    ) -> None:
        super().__init__()
        if network not in NETWORKS or width not in WIDTHS:
            raise InputError(f"No network {network!r} of width {width!r}: choose from {NETWORKS} and {tuple(WIDTHS)}.")
        self.image_shape, self.latent_dim, self.classes = image_shape, latent_dim, classes
        body = MLPBody(image_shape) if network == "mlp" else ConvBody(image_shape, WIDTHS[width])
        self.features, self.render = body.features, body.render
        self.enter = nn.Linear(body.flat + classes, body.hidden)
        self.mean = nn.Linear(body.hidden, latent_dim)
        self.logvar = nn.Linear(body.hidden, latent_dim)
        self.leave = nn.Linear(latent_dim + classes, body.hidden)
        self.class_indices: Tensor
        self.register_buffer("class_indices", torch.arange(classes), persistent=False)

    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the posterior q(z|x), each [B, D]."""
        hidden = self.enter(self._with_label(self.features(image), label)).relu()
        return self.mean(hidden), self.logvar(hidden)

    def decode_logits(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents -> logits of the pixels, [B, C, H, W]."""
        logits: Tensor = self.render(self.leave(self._with_label(latent, label)).relu())
        return logits

    def decode(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents -> images in [0, 1]."""
        return self.decode_logits(latent, label).sigmoid()

    def _with_label(self, rows: Tensor, label: Tensor | None) -> Tensor:
        if not self.classes:
            return rows
        if label is None:
            label = rows.new_full((len(rows),), -1, dtype=torch.int64)
        return torch.cat([rows, (label[:, None] == self.class_indices).to(rows.dtype)], dim=1)


class MLPBody:
    """784-400 and 400-784 for an image of 28x28: the classic example's layers."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.flat, self.hidden = math.prod(image_shape), 400
        self.features = nn.Flatten()
        self.render = nn.Sequential(nn.Linear(self.hidden, self.flat), nn.Unflatten(1, image_shape))


class ConvBody:
    """Strided convolutions down to a side of 4 to 7, and back; one residual block before the way up."""

    def __init__(self, image_shape: tuple[int, int, int], width: int) -> None:
        channels, *sides = image_shape
        halvings = max(1, math.ceil(math.log2(max(sides) / 7)))
        low = [-(-side // 2**halvings) for side in sides]
        bottom, right = (2**halvings * small - side for small, side in zip(low, sides, strict=True))
        depths = [channels, width] + [2 * width] * (halvings - 1)
        self.flat, self.hidden = depths[-1] * math.prod(low), 4 * width
        pad = [nn.ZeroPad2d((0, right, 0, bottom))] if bottom or right else []
        crop = [Crop(*sides)] if bottom or right else []
        down = [
            layer
            for before, after in itertools.pairwise(depths)
            for layer in (nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU())
        ]
        up = [
            layer
            for before, after in itertools.pairwise(reversed(depths))
            for layer in (nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        ]
        self.features = nn.Sequential(*pad, *down, nn.Flatten())
        self.render = nn.Sequential(
            nn.Linear(self.hidden, self.flat),
            nn.Unflatten(1, (depths[-1], low[0], low[1])),
            Residual(depths[-1]),
            *up,
            *crop,
        )


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), the pre-activation block of He et al. (2016) without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.second(self.first(x.relu()).relu())


class Crop(nn.Module):
    """The top left `height` x `width` pixels."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, height, width]."""
        return x[..., : self.height, : self.width]
