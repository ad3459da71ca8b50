"""The networks with one latent per image: a fully connected one and a convolutional one."""

import itertools
import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...model.posterior import kl_divergence, perturb
from ..data.image_data import ImageData, to_float
from ..quality import NATS_IN_USE, evenly_spread_rows
from .base import Network, Terms


class VAE(Network):
    """A variational autoencoder (Kingma and Welling, "Auto-Encoding Variational Bayes", 2014).

    Its subclasses say what lies between the image and the hidden rows. An unknown label is encoded
    as a zero vector.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, classes: int, width: int
    ) -> None:
        super().__init__(image_shape, latent_dim, classes, width)
        features, render = self.outer_layers()
        self.features: nn.Module = features
        self.render: nn.Module = render
        widest = render[0]
        assert isinstance(widest, nn.Linear)
        hidden = widest.in_features
        flat = widest.out_features
        self.enter = nn.Linear(flat + classes, hidden)
        self.mean = nn.Linear(hidden, latent_dim)
        self.logvar = nn.Linear(hidden, latent_dim)
        self.leave = nn.Linear(latent_dim + classes, hidden)
        self.class_indices: Tensor
        self.register_buffer("class_indices", torch.arange(classes), persistent=False)

    @abstractmethod
    def outer_layers(self) -> tuple[nn.Module, nn.Sequential]:
        """From images to rows, and from hidden rows to logits; the second starts with a Linear."""

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """The cross-entropy of `target` given one latent of `image`, and the KL term, in nats."""
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
        hidden = self.leave(self._with_label(latent, label)).relu()
        _, height, width = self.image_shape
        # Without the padding that `ConvVAE` adds.
        return self._render(hidden, latent)[..., :height, :width]

    def decode(
        self, latent: Tensor, label: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Latents -> images in [0, 1]. The encoded image is not used."""
        return self.decode_logits(latent, label).sigmoid()

    @torch.inference_mode()
    def measure_quality(self, data: ImageData) -> dict[str, Any]:
        """How well the images of `data` are reconstructed.

        `reconstruction_error` and `mean_image_error` are mean squared errors per pixel, of
        reconstructions and of the mean image, pixels in [0, 1]; `dimensions_in_use` counts latent
        dimensions with a mean KL above 0.01 nats.
        """
        rows = evenly_spread_rows(len(data))
        image = to_float(data.images[rows])
        means = []
        logvars = []
        reconstructions = []
        for images, labels in zip(image.split(256), data.labels[rows].split(256), strict=True):
            mean, logvar = self.encode(images, labels)
            means.append(mean)
            logvars.append(logvar)
            reconstructions.append(self.decode(mean, labels))
        mean = torch.cat(means)
        logvar = torch.cat(logvars)
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(0)
        error = (torch.cat(reconstructions) - image).square().mean().item()
        mean_image_error = (image.mean(0) - image).square().mean().item()
        return {
            "reconstruction_error": round(error, 6),
            "mean_image_error": round(mean_image_error, 6),
            "dimensions_in_use": int((kl > NATS_IN_USE).sum()),
        }

    def _render(self, hidden: Tensor, latent: Tensor) -> Tensor:
        return self.render(hidden)

    def _with_label(self, rows: Tensor, label: Tensor | None) -> Tensor:
        if not self.classes:
            return rows
        if label is None:
            label = rows.new_full((len(rows),), -1, dtype=torch.int64)
        one_hot = label[:, None] == self.class_indices
        return torch.cat([rows, one_hot.to(rows.dtype)], dim=1)


class MLPVAE(VAE):
    """The classic example: 784-400-20-400-784 for an image of 28x28 and a width of 400."""

    is_classic = True

    def outer_layers(self) -> tuple[nn.Module, nn.Sequential]:
        """One linear layer, after the one that `VAE` has on either side of the latent."""
        to_pixels = nn.Linear(self.width, math.prod(self.image_shape))
        return nn.Flatten(), nn.Sequential(to_pixels, nn.Unflatten(1, self.image_shape))


class ConvVAE(VAE):
    """Strided convolutions down to a side of 4 to 7, and back up.

    One residual block at the lowest resolution. `width` is the number of channels after the first
    convolution.
    """

    def outer_layers(self) -> tuple[nn.Module, nn.Sequential]:
        """The convolutions, whose first padding makes each side divisible."""
        depths, low = pyramid(self.image_shape, self.width)
        _, height, width = self.image_shape
        scale = 2 ** (len(depths) - 1)
        bottom = scale * low[0] - height
        right = scale * low[1] - width
        down: list[nn.Module] = [nn.ZeroPad2d((0, right, 0, bottom))] if bottom or right else []
        for before, after in itertools.pairwise(depths):
            down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        up: list[nn.Module] = []
        for before, after in itertools.pairwise(reversed(depths)):
            up += [nn.ReLU(), upsampling(before, after)]
        deepest = depths[-1]
        bottleneck = nn.Linear(4 * self.width, deepest * math.prod(low))
        unflatten = nn.Unflatten(1, (deepest, *low))
        render = nn.Sequential(bottleneck, unflatten, Residual(deepest), *up)
        return nn.Sequential(*down, nn.Flatten()), render


def pyramid(image_shape: tuple[int, int, int], width: int) -> tuple[list[int], list[int]]:
    """The channels at each resolution from the image's own down, and the lowest [height, width]."""
    channels, *sides = image_shape
    halvings = max(1, math.ceil(math.log2(max(sides) / 7)))
    depths = [channels, width] + [2 * width] * (halvings - 1)
    return depths, [math.ceil(side / 2**halvings) for side in sides]


def upsampling(before: int, after: int) -> nn.ConvTranspose2d:
    """Twice the resolution, by as many channels as are given."""
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), the block of He et al. (2016) without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.second(self.first(x.relu()).relu())
