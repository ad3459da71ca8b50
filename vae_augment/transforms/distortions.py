"""Distortions of batches with random parameters for each image, which a VAE must do better than.

torchvision's transforms draw one set of parameters per call, so a batch would need a loop over its
images.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model.pixels import from_batch

# Degrees, to either side
ROTATION = 15.0
SHEAR = 10.0
SCALE = (0.85, 1.15)
SHIFT = 2 / 28  # of a side
EROSION = 0.7  # largest weight of the eroded image; 1 would remove thin strokes
CROP = 0.5  # smallest share of the area
# Of a side; Simard et al., "Best practices for convolutional neural networks" (2003)
SIGMA = 4 / 28
ALPHA = 34 / 28


def affine(images: Tensor) -> Tensor:
    """Rotate, shear, scale and shift each image of [B, C, H, W] at random.

    The numbers are from torch's global generator.
    """
    return warp(images, _affine_grid(images))


def affine_elastic(images: Tensor) -> Tensor:
    """`affine` and an elastic distortion (Simard et al., 2003) in one resampling."""
    return warp(images, _affine_grid(images) + _elastic_field(images))


def thickness(images: Tensor) -> Tensor:
    """Thicken or thin the bright strokes of each image of [B, C, H, W] at random.

    By up to one pixel on each side.
    """
    dilated = F.max_pool2d(images, 3, 1, 1)
    eroded = -F.max_pool2d(-images, 3, 1, 1)
    is_dilated, share = torch.rand(2, len(images), 1, 1, 1, device=images.device)
    thicker = images.lerp(dilated, share)
    thinner = images.lerp(eroded, EROSION * share)
    return torch.where(is_dilated < 0.5, thicker, thinner)


def thickness_affine_elastic(images: Tensor) -> Tensor:
    """`thickness`, then `affine_elastic`: what helps handwriting most."""
    return affine_elastic(thickness(images))


def flip_shift(images: Tensor) -> Tensor:
    """Mirror half of the images [B, C, H, W] and shift each by up to 2/28 of a side.

    Shifts are whole pixels.
    """
    count, _, height, width = images.shape
    moves = torch.eye(2, 3, device=images.device).repeat(count, 1, 1)
    moves[:, 0, 0] = 1 - 2 * torch.randint(2, (count,), device=images.device)
    for axis, side in enumerate((width, height)):
        most = round(SHIFT * side)
        # A side has length 2 in the grid's coordinates.
        moves[:, axis, 2] = (
            2 / side * torch.randint(-most, most + 1, (count,), device=images.device)
        )
    return warp(images, F.affine_grid(moves, list(images.shape), align_corners=False))


def crop_flip_light(images: Tensor) -> Tensor:
    """Crop each image of [B, C, H, W] to at least half of its area and resize it.

    Half of them are mirrored, and the brightness changes.
    """
    count = len(images)
    device = images.device
    area, stretch, x, y, coin, gamma, gain = torch.rand(7, count, device=device)
    side = (CROP + (1 - CROP) * area).sqrt()
    stretch = torch.exp(0.25 * (stretch - 0.5))
    width = (side * stretch).clamp(max=1)
    height = (side / stretch).clamp(max=1)
    moves = torch.zeros(count, 2, 3, device=device)
    moves[:, 0, 0] = width * (1 - 2 * (coin < 0.5).float())
    moves[:, 1, 1] = height
    moves[:, 0, 2] = (2 * x - 1) * (1 - width)
    moves[:, 1, 2] = (2 * y - 1) * (1 - height)
    parts = warp(images, F.affine_grid(moves, list(images.shape), align_corners=False))
    gamma = torch.exp(0.5 * (2 * gamma - 1)).view(-1, 1, 1, 1)
    gain = torch.exp(0.4 * (2 * gain - 1)).view(-1, 1, 1, 1)
    return (parts.clamp(min=1e-3) ** gamma * gain).clamp(0, 1)


def one_by_one(transform: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A transform of uint8 images, such as `v2.TrivialAugmentWide()`, for each of [B, C, H, W]."""
    transformed = [transform(image) for image in from_batch(images, torch.uint8)]
    return torch.stack(transformed).float() / 255


def warp(images: Tensor, grid: Tensor) -> Tensor:
    """The images [B, C, H, W] in [0, 1] at the places of grids [B, H, W, 2], black outside."""
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    ).clamp_(0, 1)


def _affine_grid(images: Tensor) -> Tensor:
    angle, shear, scale, x, y = torch.empty(5, len(images), device=images.device)
    angle.uniform_(-ROTATION, ROTATION).deg2rad_()
    shear.uniform_(-SHEAR, SHEAR).deg2rad_()
    scale.uniform_(*SCALE)
    shift = 2 * torch.stack([x.uniform_(-SHIFT, SHIFT), y.uniform_(-SHIFT, SHIFT)], dim=1)
    cos = angle.cos() / scale
    sin = angle.sin() / scale
    tan = shear.tan()
    rows = torch.stack([cos, cos * tan - sin, sin, sin * tan + cos], dim=1).reshape(-1, 2, 2)
    return F.affine_grid(
        torch.cat([rows, shift[:, :, None]], dim=2), list(images.shape), align_corners=False
    )


def _elastic_field(images: Tensor) -> Tensor:
    count, _, height, width = images.shape
    noise = 2 * torch.rand(count, 2, height, width, device=images.device) - 1
    smooth = _blur(SIGMA * height, height, noise) @ noise @ _blur(SIGMA * width, width, noise)
    # The blur averages more values away where there are more pixels; the square root makes up for
    # it, so that the displacement is the same share of a side as at 28x28. A side has length 2 in
    # the grid's coordinates.
    return 2 * ALPHA * math.sqrt(height * width) / 28 * smooth.permute(0, 2, 3, 1)


def _blur(sigma: float, side: int, like: Tensor) -> Tensor:
    """A Gaussian blur along one side, with zeros beyond its ends: a symmetric matrix."""
    position = torch.arange(side, device=like.device)
    weight = torch.exp(-0.5 * ((position[:, None] - position) / sigma) ** 2)
    beyond = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1, device=like.device)
    return weight / torch.exp(-0.5 * (beyond / sigma) ** 2).sum()
