"""The VAE that is conditioned on an image: how else may what it shows be drawn?"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ...model.posterior import perturb
from .vae import Terms

WIDTHS = (16, 32)  # channels at half and at a quarter of the resolution
# Standard deviations of the blurs, in pixels of a side of 28, and weights of the squared distances
# after them.
BLURS = ((0.7, 2.0), (1.5, 4.0), (3.0, 10.0))
# Of the warp that both images of a pair go through: largest turn in radians besides the quarter
# turns, standard deviation of the bends in units of half a side, and limits of the stretch (as a
# logarithm) and of the shear.
TURN, BEND, STRETCH, SHEAR = 0.3, 0.06, 0.12, 0.25


class RedrawingVAE(nn.Module):
    """p(x' | x, z): x and x' are two images of one class, such as two people's drawings of a character.

    Its posterior is q(z | x, x'), its prior p(z | x) is learned (Sohn et al., "Learning structured
    output representation using deep conditional generative models", 2015). The decoder sees x as
    well as z and gives a smooth displacement field by which x is warped: strokes stay as sharp as
    they are, and z has only the shape to tell.

    Images are [B, C, H, W] in [0, 1], latents [B, D].

    Raises:
        InputError: a side that is not a multiple of 4.
    """

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        if height % 4 or width % 4:
            raise InputError(
                f"The images are {height} x {width}; a model conditioned on an image needs sides "
                "that are multiples of 4. Resize or pad the images."
            )
        self.image_shape = image_shape
        self.low = (height // 4, width // 4)
        self.latent_dim = self.noise_dim = latent_dim
        half, quarter = WIDTHS
        flat = quarter * math.prod(self.low)
        self.look_half = nn.Conv2d(channels, half, 6, 2, padding=2)
        self.look_quarter = _conv(half, quarter, 2)
        self.prior = nn.Linear(flat, 2 * latent_dim)
        self.posterior = nn.Sequential(
            nn.Conv2d(2 * channels, half, 6, 2, padding=2), nn.ReLU(), _conv(half, quarter, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(flat, 2 * latent_dim),
        )  # fmt: skip
        self.place = nn.Linear(latent_dim, flat)
        self.scale = nn.Linear(latent_dim, 2 * quarter)
        self.first = _conv(quarter, quarter)
        self.second = _conv(quarter, quarter)
        self.field = _conv(quarter, 2)
        for parameter in (*self.prior.parameters(), *self.field.parameters()):
            nn.init.zeros_(
                parameter
            )  # the prior starts as N(0, I), and the field as standing still
        constants = {"rows": spline(self.low[0], height), "columns": spline(self.low[1], width)}
        constants["identity"] = F.affine_grid(
            torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False
        )
        for number, (sigma, _) in enumerate(BLURS):
            constants |= {
                f"blur_rows_{number}": blur(sigma, height),
                f"blur_columns_{number}": blur(sigma, width),
            }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, image: Tensor, target: Tensor, label: Tensor | None, noise: Tensor) -> Terms:
        """One-sample estimate of the terms for `target`, another image of the class of `image`."""
        mean, logvar = (
            moment.float() for moment in self.posterior(torch.cat([image, target], 1)).chunk(2, 1)
        )
        features = self._features(image)
        prior_mean, prior_logvar = (
            moment.float() for moment in self.prior(features.flatten(1)).chunk(2, 1)
        )
        redrawn = self._decode(image, features, perturb(mean, logvar, noise, 1.0)).float()
        # At three resolutions, because a stroke that lies beside its place has to feel in which
        # direction to move.
        distances = [
            weight
            * (self._blurred(redrawn, number) - self._blurred(target, number))
            .square()
            .flatten(1)
            .sum(1)
            for number, (_, weight) in enumerate(BLURS)
        ]
        gap = (logvar.exp() + (mean - prior_mean).square()) / prior_logvar.exp()
        return Terms(torch.stack(distances).sum(0), 0.5 * (prior_logvar - logvar + gap - 1).sum(1))

    def encode(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance of the prior p(z|x), each [B, D]. There are no labels."""
        mean, logvar = self.prior(self._features(image).flatten(1)).chunk(2, 1)
        return mean, logvar

    def decode(self, latent: Tensor, label: Tensor | None, image: Tensor) -> Tensor:
        """Latents and the images that were encoded -> redrawn images in [0, 1]."""
        return self._decode(image, self._features(image), latent).clamp(0, 1)

    def _features(self, image: Tensor) -> Tensor:
        return self.look_quarter(self.look_half(image).relu()).relu()

    def _decode(self, image: Tensor, features: Tensor, latent: Tensor) -> Tensor:
        factor, shift = self.scale(latent)[:, :, None, None].chunk(2, 1)
        hidden = features + self.place(latent).unflatten(1, (-1, *self.low))
        hidden = (self.first(hidden) * (1 + factor) + shift).relu()
        hidden = self.second(hidden).relu() + hidden
        field = self.rows @ self.field(hidden).float() @ self.columns.T
        return F.grid_sample(image, self.identity + field.permute(0, 2, 3, 1), align_corners=False)

    def _blurred(self, images: Tensor, number: int) -> Tensor:
        return (
            self.get_buffer(f"blur_rows_{number}")
            @ images
            @ self.get_buffer(f"blur_columns_{number}")
        )


def random_warps(
    count: int, image_shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    """Sampling grids [count, H, W, 2] of random warps. Under the same warp, both images of a pair become another class.

    A quarter turn, perhaps mirrored, and a mild turn, stretch, shear and bend.
    """
    _, height, width = image_shape
    angle, stretch_x, stretch_y, shear = 2 * torch.rand(4, count, generator=generator) - 1
    quarter = torch.randint(4, (count,), generator=generator)
    is_mirrored = torch.rand(count, generator=generator) < 0.5
    angle = math.pi / 2 * quarter + TURN * angle
    cos = angle.cos()
    sin = angle.sin()
    turned = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    stretch = torch.exp(STRETCH * torch.stack([stretch_x, stretch_y], 1))
    stretch[is_mirrored, 0] *= -1
    sheared = torch.eye(2).repeat(count, 1, 1)
    sheared[:, 0, 1] = SHEAR * shear
    moves = torch.cat([turned @ sheared * stretch[:, None], torch.zeros(count, 2, 1)], 2)
    bend = BEND * torch.randn(count, 2, 4, 4, generator=generator)
    bend = (spline(4, height) @ bend @ spline(4, width).T).permute(0, 2, 3, 1)
    return F.affine_grid(moves, [count, 1, height, width], align_corners=False) + bend


def spline(points: int, side: int) -> Tensor:
    """The matrix [side, points] of a cubic B-spline, which makes a smooth curve of control points."""
    place = (torch.arange(side) + 0.5) / side * points - 0.5
    distance = (place[:, None] - torch.arange(points)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    weight = torch.where(distance < 1, near, far)
    return weight / weight.sum(1, keepdim=True)


def blur(sigma: float, side: int) -> Tensor:
    """A Gaussian blur along one side as a matrix [side, side].

    `sigma` is in pixels of a side of 28.
    """
    place = torch.arange(side)
    sigma = sigma * side / 28
    weight = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    return weight / (sigma * math.sqrt(2 * math.pi))


def _conv(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, padding=1)
