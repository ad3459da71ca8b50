"""The VAE that redraws an image: how else could what it shows have been written?"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.kinds import REDRAWING
from ...model.posterior import perturb
from ...transforms.latent import partner_in_batch
from ..data.image_data import ImageData, to_float
from ..quality import NATS_IN_USE, evenly_spread_rows
from .base import Network, Terms

# Standard deviations of the blurs, in pixels of a side of 28, and weights of the squared distances
# after them.
BLURS = ((0.7, 2.0), (1.5, 4.0), (3.0, 10.0))


class RedrawingVAE(Network):
    """p(x' | x, z): x and x' are two images of one class, such as a character by two hands.

    Its posterior is q(z | x, x'), its prior p(z | x) is learned (Sohn et al., "Learning structured
    output representation using deep conditional generative models", 2015). The decoder sees x as
    well as z and gives three smooth maps: how much the bright strokes of x grow or shrink at each
    place, and the displacements by which x is warped then. So strokes stay as sharp as they are,
    and z has only shape and thickness to tell. `width` is the number of channels at half the
    resolution.

    Raises:
        InputError: a side that is not a multiple of 4, or classes, which it does not take.
    """

    kind = REDRAWING
    rows: Tensor
    columns: Tensor
    identity: Tensor

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, classes: int, width: int
    ) -> None:
        super().__init__(image_shape, latent_dim, classes, width)
        channels, height, width_of_image = image_shape
        if height % 4 or width_of_image % 4:
            raise InputError(
                f"The images are {height} x {width_of_image}; a model conditioned on an image "
                "needs sides that are multiples of 4. Resize or pad the images."
            )
        if classes:
            raise InputError(
                f"A model conditioned on an image has {classes} classes, but takes no labels."
            )
        self.low = (height // 4, width_of_image // 4)
        quarter = 2 * width
        flat = quarter * math.prod(self.low)
        self.look_half = nn.Conv2d(channels, width, 6, 2, padding=2)
        self.look_quarter = _conv(width, quarter, 2)
        self.prior = nn.Linear(flat, 2 * latent_dim)
        self.posterior = nn.Sequential(
            nn.Conv2d(2 * channels, width, 6, 2, padding=2),
            nn.ReLU(),
            _conv(width, quarter, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, 2 * latent_dim),
        )
        self.place = nn.Linear(latent_dim, flat)
        self.scale = nn.Linear(latent_dim, 2 * quarter)
        self.first = _conv(quarter, quarter)
        self.second = _conv(quarter, quarter)
        self.maps = nn.Conv2d(quarter, 3, 1)
        # The prior starts as N(0, I), and the maps as leaving the image as it is.
        for parameter in (*self.prior.parameters(), *self.maps.parameters()):
            nn.init.zeros_(parameter)
        self._register_constants(height, width_of_image)

    def _register_constants(self, height: int, width: int) -> None:
        straight = torch.eye(2, 3)[None]
        constants = {
            "rows": spline(self.low[0], height),
            "columns": spline(self.low[1], width),
            "identity": F.affine_grid(straight, [1, 1, height, width], align_corners=False),
        }
        for number, (sigma, _) in enumerate(BLURS):
            constants[f"blur_rows_{number}"] = blur(sigma, height)
            constants[f"blur_columns_{number}"] = blur(sigma, width)
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """The squared distance of `image` redrawn from `target`, another image of its class.

        The KL term is that of the posterior from the learned prior, in nats.
        """
        pair = torch.cat([image, target], 1)
        mean, logvar = (moment.float() for moment in self.posterior(pair).chunk(2, 1))
        features, prior_mean, prior_logvar = self._look(image)
        latent = perturb(mean, logvar, noise, 1.0)
        redrawn = self._changed(image, self._maps(features, latent)).float()
        squared_gap = logvar.exp() + (mean - prior_mean).square()
        kl = 0.5 * (prior_logvar - logvar + squared_gap / prior_logvar.exp() - 1).sum(1)
        return Terms(self._distance(redrawn, target), kl)

    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the prior p(z|x), each [B, D]. There are no labels."""
        _, mean, logvar = self._look(image)
        return mean, logvar

    def decode(
        self, latent: Tensor, label: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Latents and the images that were encoded -> redrawn images in [0, 1].

        At the mean of the prior an image stays as it is, and up to one standard deviation away
        from it the change grows in proportion. Without that, the redrawing of the mean would move
        every image towards the usual shape, however little noise there is.
        """
        assert image is not None  # as `kind` says
        features, mean, logvar = self._look(image)
        # Not so in training, which would learn more slowly; its latents lie further away anyway.
        amount = _spreads(latent, mean, logvar).clamp(0, 1)
        return self._changed(image, amount * self._maps(features, latent)).clamp(0, 1)

    @torch.inference_mode()
    def measure_quality(self, data: ImageData) -> dict[str, Any]:
        """How close images of `data` come to another image of their class.

        `redrawing_error` and `unmoved_error` are mean squared errors per pixel against the other
        image, of the image redrawn towards it (by the posterior mean) and of the image as it is;
        `dimensions_in_use` counts latent dimensions whose posterior mean differs from the prior's.
        """
        rows = evenly_spread_rows(len(data))
        partner = partner_in_batch(data.labels, torch.full((len(data),), 0.5))
        redrawing_errors = []
        unmoved_errors = []
        gaps = []
        for chosen in rows.split(256):
            image = to_float(data.images[chosen])
            other = to_float(data.images[partner[chosen]])
            mean, _ = self.posterior(torch.cat([image, other], 1)).chunk(2, 1)
            redrawn = self.decode(mean, image=image)
            redrawing_errors.append((redrawn - other).square().mean((1, 2, 3)))
            unmoved_errors.append((image - other).square().mean((1, 2, 3)))
            prior_mean, prior_logvar = self.encode(image)
            gaps.append((mean - prior_mean).square() / prior_logvar.exp())
        kl = 0.5 * torch.cat(gaps).mean(0)
        return {
            "redrawing_error": round(torch.cat(redrawing_errors).mean().item(), 6),
            "unmoved_error": round(torch.cat(unmoved_errors).mean().item(), 6),
            "dimensions_in_use": int((kl > NATS_IN_USE).sum()),
        }

    def _look(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the image shows, [B, 2 * width, H/4, W/4], and its prior's mean and log-variance."""
        features = self.look_quarter(self.look_half(image).relu()).relu()
        mean, logvar = self.prior(features.flatten(1)).float().chunk(2, 1)
        return features, mean, logvar

    def _maps(self, features: Tensor, latent: Tensor) -> Tensor:
        """Growth and the two displacements at a quarter of the resolution, [B, 3, H/4, W/4]."""
        factor, shift = self.scale(latent)[:, :, None, None].chunk(2, 1)
        hidden = features + self.place(latent).unflatten(1, (-1, *self.low))
        hidden = (self.first(hidden) * (1 + factor) + shift).relu()
        hidden = self.second(hidden).relu() + hidden
        growth, field = self.maps(hidden).float().split([1, 2], 1)
        return torch.cat([growth.tanh(), field], 1)

    def _changed(self, image: Tensor, maps: Tensor) -> Tensor:
        """`image` grown and warped as the maps say."""
        growth, field = self._smooth(maps).split([1, 2], 1)
        grid = self.identity + field.permute(0, 2, 3, 1)
        return F.grid_sample(grown(image, growth), grid, align_corners=False)

    def _smooth(self, maps: Tensor) -> Tensor:
        """Maps at a quarter of the resolution, [B, C, H/4, W/4], as smooth ones of all pixels."""
        return self.rows @ maps @ self.columns.T

    def _distance(self, redrawn: Tensor, target: Tensor) -> Tensor:
        # At three resolutions, because a stroke that lies beside its place has to feel in which
        # direction to move.
        distances = []
        for number, (_, weight) in enumerate(BLURS):
            difference = self._blurred(redrawn, number) - self._blurred(target, number)
            distances.append(weight * difference.square().flatten(1).sum(1))
        return torch.stack(distances).sum(0)

    def _blurred(self, images: Tensor, number: int) -> Tensor:
        rows = self.get_buffer(f"blur_rows_{number}")
        columns = self.get_buffer(f"blur_columns_{number}")
        return rows @ images @ columns


def spline(points: int, side: int) -> Tensor:
    """The matrix [side, points] of a cubic B-spline: control points -> a smooth curve."""
    place = (torch.arange(side) + 0.5) / side * points - 0.5
    distance = (place[:, None] - torch.arange(points)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    weight = torch.where(distance < 1, near, far)
    return weight / weight.sum(1, keepdim=True)


def blur(sigma: float, side: int) -> Tensor:
    """A Gaussian blur along one side as a matrix [side, side]; `sigma` as in `BLURS`."""
    place = torch.arange(side)
    sigma = sigma * side / 28
    weight = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    return weight / (sigma * math.sqrt(2 * math.pi))


def grown(image: Tensor, growth: Tensor) -> Tensor:
    """`image` with its bright strokes grown by up to a pixel on each side, or shrunk below 0.

    `growth` [B, 1, H, W] is from -1 to 1. The difference of dilation and erosion is the edge.
    """
    dilated = F.max_pool2d(image, 3, 1, 1)
    eroded = -F.max_pool2d(-image, 3, 1, 1)
    return (image + growth * (dilated - eroded)).clamp(0, 1)


def _spreads(latent: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """How many standard deviations latents are away from a mean: root mean square, [B, 1, 1, 1]."""
    squares = (latent - mean).square() / logvar.exp()
    return squares.mean(1).sqrt()[:, None, None, None]


def _conv(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, padding=1)
