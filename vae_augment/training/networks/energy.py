"""The VAE whose decoder adds random detail, trained by the energy score, not the cross-entropy."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.posterior import kl_divergence, perturb
from .base import Terms
from .vae import ConvVAE, Residual, pyramid, upsampling

DETAIL = 16  # dimensions of the latent that are noise for the decoder
TEXTURES = 8  # filtered maps of noise that the last layer mixes into each channel of the image
# Of the sines that make a map of noise; from about 4 on, its pixels are almost independent.
FREQUENCY = 6.0
PATCH_SIDES = (1, 3, 5)  # in pixels, of the patches that the score compares
# Random networks whose features the score compares, and channels of their two layers.
RANDOM_FEATURE_NETS = 3
RANDOM_FEATURE_WIDTHS = (16, 32)
FEATURE_WEIGHT = 0.12  # per pixel; features count about as much as patches then
# Beyond it a pixel is black or white, and the score has no gradient left to bring it back: after
# 40 updates on coloured shapes on black, all logits were in the thousands and all images black.
# Logits of photographs hardly reach it.
LARGEST_LOGIT = 16.0
EXCESS_WEIGHT = 0.1  # of what lies beyond it


class EnergyVAE(ConvVAE):
    """A convolutional VAE whose images have the spread of real detail, where others are blurred.

    The last `DETAIL` dimensions of the latent are noise for the decoder. The encoder gives them the
    mean 0 and the log-variance 0, so a perturbation or a sample takes them from N(0, I). In
    training, two images of one latent with different detail are compared with the original by the
    energy score (Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation",
    2007, equation 22): half the sum of their distances from the original, minus half their distance
    from each other. Its expectation is lowest for the true distribution of the detail; a
    cross-entropy is lowest for its mean.

    D includes the `DETAIL` dimensions, and the noise of a training step is [B, D + DETAIL].

    Raises:
        InputError: `latent_dim` leaves nothing for the encoder.
    """

    detail_dim = DETAIL

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, classes: int, width: int
    ) -> None:
        super().__init__(image_shape, latent_dim, classes, width)
        if latent_dim <= DETAIL:
            raise InputError(
                f"The latent has {latent_dim} dimensions; {DETAIL} of them are detail, so it "
                "needs more."
            )
        hidden = self.leave.out_features
        self.noise_dim = latent_dim + DETAIL
        self.mean = nn.Linear(hidden, latent_dim - DETAIL)
        self.logvar = nn.Linear(hidden, latent_dim - DETAIL)
        self.render = Decoder(hidden, *pyramid(image_shape, width))
        self.score = EnergyScore(image_shape[0])

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """The energy score of two images of one latent [B], and the KL term [B] in nats.

        The first has the excess of logits beyond `LARGEST_LOGIT` added to it.
        """
        mean, logvar = (moment.float() for moment in self.encode(image, label))
        noise, detail = noise.split([self.latent_dim, DETAIL], 1)
        latent = perturb(mean, logvar, noise, 1.0)
        other_latent = torch.cat([latent[:, :-DETAIL], detail], 1)
        one = self.decode_logits(latent, label).float()
        other = self.decode_logits(other_latent, label).float()
        score = self.score(one.sigmoid(), other.sigmoid(), target)
        excess = _excess(one) + _excess(other)
        return Terms(score + EXCESS_WEIGHT * excess, kl_divergence(mean, logvar))

    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the posterior, each [B, D].

        Both are 0 for the detail.
        """
        mean, logvar = super().encode(image, label)
        return F.pad(mean, (0, DETAIL)), F.pad(logvar, (0, DETAIL))

    def _render(self, hidden: Tensor, latent: Tensor) -> Tensor:
        return self.render(hidden, latent[:, -DETAIL:])


class Decoder(nn.Module):
    """From a hidden row and detail [B, DETAIL] to the logits of an image.

    The hidden row also scales and shifts the channels. Maps of noise at each resolution let detail
    lie anywhere; a row of noise alone gave regular grids of dots.
    """

    def __init__(self, hidden: int, depths: Sequence[int], low: Sequence[int]) -> None:
        super().__init__()
        self.channels, *inner = depths
        inner.reverse()
        size = (inner[0], *low)
        self.bottleneck = nn.Sequential(nn.Linear(hidden, math.prod(size)), nn.Unflatten(1, size))
        sides = [[side * 2**level for side in low] for level in range(1, len(depths))]
        # The last sides are those of the image, which `last` makes.
        steps = zip(itertools.pairwise(inner), sides, strict=False)
        self.levels = nn.ModuleList(
            Level(before, after, hidden, height, width)
            for (before, after), (height, width) in steps
        )
        self.last = nn.Sequential(
            Residual(inner[-1]), nn.ReLU(), upsampling(inner[-1], self.channels * (1 + TEXTURES))
        )
        self.texture = Texture(self.channels * TEXTURES, *sides[-1])

    def forward(self, hidden: Tensor, detail: Tensor) -> Tensor:
        """Logits of the pixels, [B, C, H, W]."""
        rows = self.bottleneck(hidden)
        for level in self.levels:
            rows = level(rows, hidden, detail)
        # Not tensor_split, of which TorchScript's exporter makes a loop
        mean, amounts = self.last(rows).split([self.channels, self.channels * TEXTURES], 1)
        textures = (amounts * self.texture(detail)).unflatten(1, (self.channels, TEXTURES))
        return mean + textures.sum(2)


class Level(nn.Module):
    """Twice the resolution: [B, before, H/2, W/2] -> [B, after, H, W]."""

    def __init__(self, before: int, after: int, hidden: int, height: int, width: int) -> None:
        super().__init__()
        self.block = Residual(before)
        self.up = upsampling(before, after)
        self.style = nn.Linear(hidden, 2 * after)
        self.texture = Texture(after, height, width)

    def forward(self, rows: Tensor, hidden: Tensor, detail: Tensor) -> Tensor:
        """`rows` enlarged, its channels scaled and shifted by `hidden`, with a texture."""
        scale, shift = self.style(hidden)[:, :, None, None].chunk(2, 1)
        return self.up(self.block(rows).relu()) * (1 + scale) + shift + self.texture(detail)


class Texture(nn.Module):
    """A map of noise [H, W] through filters of 5x5 pixels: [B, DETAIL] -> [B, channels, H, W].

    Each pixel of the map is a sine of its own sum of the detail. The sums of two pixels hardly
    differ, but by more than a sine's period, so that few numbers give as many independent ones as
    there are pixels. Without detail it is 0.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, channels, 5, padding=2, bias=False)
        generator = torch.Generator("cpu").manual_seed(height * width)
        waves = torch.randn(DETAIL, height * width, generator=generator, device="cpu")
        self.register_buffer("waves", FREQUENCY * waves / waves.norm(dim=0))
        self.sides = height, width

    def forward(self, detail: Tensor) -> Tensor:
        """The filtered maps of `detail`."""
        noise = (detail @ self.get_buffer("waves")).sin()
        return self.filters(noise.unflatten(1, (1, *self.sides)))


class Features(NamedTuple):
    """The feature maps of random networks, of the first and the second layer."""

    first: Tensor
    second: Tensor


class EnergyScore(nn.Module):
    """The energy score of images [B, C, H, W] in [0, 1], with distances of patches and features.

    The features are those of networks with random weights, which nothing trains and no file holds.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = RANDOM_FEATURE_WIDTHS
        shapes = {
            "first": (RANDOM_FEATURE_NETS * first, channels, 5, 5),
            "second": (RANDOM_FEATURE_NETS * second, first, 3, 3),
        }
        generator = torch.Generator("cpu").manual_seed(0)
        for name, shape in shapes.items():
            weights = torch.randn(shape, generator=generator, device="cpu")
            weights = weights * math.sqrt(2 / math.prod(shape[1:]))
            self.register_buffer(name, weights, persistent=False)

    def forward(self, one: Tensor, other: Tensor, image: Tensor) -> Tensor:
        """Two images of the decoder against the original, [B]."""
        first, second, original = (self._with_features(each) for each in (one, other, image))
        return (
            _distance(first, original) + _distance(second, original) - _distance(first, second)
        ) / 2

    def _with_features(self, images: Tensor) -> tuple[Tensor, Features]:
        first = F.conv2d(images, self.get_buffer("first"), stride=2, padding=2).relu()
        second = F.conv2d(
            first, self.get_buffer("second"), stride=2, padding=1, groups=RANDOM_FEATURE_NETS
        )
        return images, Features(first, second.relu())


def _excess(logits: Tensor) -> Tensor:
    """How far logits lie beyond +-`LARGEST_LOGIT`, summed over pixels, [B]."""
    return (logits.abs() - LARGEST_LOGIT).relu().flatten(1).sum(1)


def _distance(one: tuple[Tensor, Features], other: tuple[Tensor, Features]) -> Tensor:
    """How far images lie apart in patches and in features, summed over pixels, [B]."""
    images, features = one
    other_images, other_features = other
    layers = zip(features, other_features, strict=True)
    apart = torch.stack([_feature_distance(*layer) for layer in layers]).mean(0)
    per_pixel = _patch_distance(images, other_images) + FEATURE_WEIGHT * apart
    return per_pixel * images[0].numel()


def _patch_distance(one: Tensor, other: Tensor) -> Tensor:
    """The root-mean-square difference of patches, averaged over places, sides and channels, [B]."""
    square = (one - other).square()
    means = [F.avg_pool2d(square, side, (side + 1) // 2, side // 2) for side in PATCH_SIDES]
    return torch.stack([(mean + 1e-6).sqrt().flatten(1).mean(1) for mean in means]).mean(0)


def _feature_distance(one: Tensor, other: Tensor) -> Tensor:
    """The distance of two feature maps, on average over networks and places, [B]."""
    square = (one - other).float().square().unflatten(1, (RANDOM_FEATURE_NETS, -1)).sum(2)
    return (square + 1e-4).sqrt().flatten(1).mean(1)
