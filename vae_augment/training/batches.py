"""The batches of a training run, each a function of the seed and the number of the step alone.

So a run that was killed and resumed gives the same weights as one that was not, and no generator's
state needs storing.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..transforms.distortions import warp
from ..transforms.latent import partner_in_batch
from . import distributed
from .config import FitConfig
from .data.image_data import ImageData, to_float
from .networks.redrawing import spline

# What a generator is for, beside the order, noise and dropped labels of an epoch (0).
DENOISING, HELD_OUT_NOISE, HELD_OUT_SPLIT, PAIR_WARPS, SMALL_MOVES = 1, 2, 3, 4, 5
# Of the warp that both images of a pair go through: largest turn in radians besides the quarter
# turns, standard deviation of the bends in units of half a side, and limits of the stretch (as a
# logarithm) and of the shear.
TURN = 0.3
BEND = 0.06
STRETCH = 0.12
SHEAR = 0.25
# Limits of a small move: the turn in radians, the stretch as a logarithm, the shift in sides.
SMALL_TURN = 0.17
SMALL_STRETCH = 0.1
SMALL_SHIFT = 2 / 28


class Batch(NamedTuple):
    """What one rank trains on in one step, on the device of the run.

    `images` is how many images the batch has on all ranks together.
    """

    image: Tensor
    target: Tensor
    label: Tensor | None
    noise: Tensor
    images: int


class Batches:
    """Batches in which an image is its own target. Under torchrun each rank gets its share.

    Args:
        data: images that `usable` gave.
        config: of the run, with all that `FitConfig.for_data` settles.
        noise_dim: how many standard-normal numbers per image the network takes.

    """

    def __init__(self, data: ImageData, config: FitConfig, noise_dim: int) -> None:
        self.data = data
        self.config = config
        self.noise_dim = noise_dim
        self._steps_per_epoch = math.ceil(len(data) / config.batch_size)
        self._epoch: int | None = None

    @staticmethod
    def usable(data: ImageData) -> ImageData:
        """The images that can be trained on; here all."""
        return data

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        epoch, number = divmod(step, self._steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._plan_epoch(seeded_generator(self.config.seed, epoch))
        first = number * self.config.batch_size
        last = min(first + self.config.batch_size, len(self.data))
        places = slice(first + distributed.rank(), last, distributed.world_size())
        return self._batch(step, places, last - first)

    def _plan_epoch(self, generator: torch.Generator) -> None:
        """Set the order of the images, and what each place in it gets of noise and labels."""
        count = len(self.data)
        self._order = torch.randperm(count, generator=generator)
        self._noise = torch.randn(count, self.noise_dim, generator=generator)
        shares = torch.rand(count, generator=generator)
        self._is_label_dropped = shares < self.config.label_dropout

    def _batch(self, step: int, places: slice, images: int) -> Batch:
        rows = self._order[places]
        target = self._moved(self._images(rows), step, images)
        image = self._noisy(target, step, images)
        noise = self._noise[places].to(self.config.device)
        return Batch(image, target, self._labels(rows, places), noise, images)

    def _images(self, rows: Tensor) -> Tensor:
        return to_float(self.data.images.index_select(0, rows)).to(self.config.device)

    def _labels(self, rows: Tensor, places: slice) -> Tensor | None:
        if not self.config.conditional:
            return None
        labels = self.data.labels[rows].masked_fill(self._is_label_dropped[places], -1)
        return labels.to(self.config.device)

    def _moved(self, target: Tensor, step: int, images: int) -> Tensor:
        if not self.config.distort:
            return target
        generator = seeded_generator(self.config.seed, step, purpose=SMALL_MOVES)
        grids = _of_this_rank(small_moves(images, self.data.image_shape, generator))
        # The ground beyond the border is like that at it, which in photographs is not black.
        moved = F.grid_sample(
            target, grids.to(target.device), padding_mode="border", align_corners=False
        )
        return moved.clamp_(0, 1)

    def _noisy(self, image: Tensor, step: int, images: int) -> Tensor:
        if not self.config.denoise:
            return image
        generator = seeded_generator(self.config.seed, step, purpose=DENOISING)
        noise = torch.randn(images, *image.shape[1:], generator=generator)
        noise = _of_this_rank(noise).to(image.device)
        return (image + self.config.denoise * noise).clamp_(0, 1)


class PairBatches(Batches):
    """Batches in which the target is another image of the class, and both go through one warp."""

    @staticmethod
    def usable(data: ImageData) -> ImageData:
        """The images of classes that have at least two.

        Raises:
            InputError: there are none.
        """
        counts = data.labels[data.labels >= 0].bincount(minlength=len(data.classes) + 1)
        rows = ((data.labels >= 0) & (counts[data.labels] > 1)).nonzero()[:, 0]
        if not len(rows):
            raise InputError(
                f"No class of {data.name} has two images, and network='redrawing' (--redraw) "
                "trains on pairs of one class. Give labelled images, or choose another network."
            )
        return data.subset(rows)

    def _plan_epoch(self, generator: torch.Generator) -> None:
        super()._plan_epoch(generator)
        choice = torch.rand(len(self.data), generator=generator)
        self._partner = partner_in_batch(self.data.labels, choice)

    def _batch(self, step: int, places: slice, images: int) -> Batch:
        rows = self._order[places]
        pair = torch.cat([self._images(rows), self._images(self._partner[rows])], 1)
        generator = seeded_generator(self.config.seed, step, purpose=PAIR_WARPS)
        grids = _of_this_rank(random_warps(images, self.data.image_shape, generator))
        image, target = warp(pair, grids.to(pair.device)).chunk(2, 1)
        noise = self._noise[places].to(self.config.device)
        return Batch(image, target, None, noise, images)


def batches_for(config: FitConfig) -> type[Batches]:
    """The kind of batches that a run trains on."""
    return Batches if config.samples else PairBatches


def seeded_generator(seed: int, *position: int, purpose: int = 0) -> torch.Generator:
    """A generator of its own for each seed, position in the run and purpose."""
    words = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)


def _of_this_rank(rows: Tensor) -> Tensor:
    return rows[distributed.rank() :: distributed.world_size()]


def random_warps(
    count: int, image_shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    """Sampling grids [count, H, W, 2]: a quarter turn, perhaps mirrored, stretch, shear and bend.

    Both images of a pair go through one warp, which makes another class of them.
    """
    _, height, width = image_shape
    angle, stretch_x, stretch_y, shear = 2 * torch.rand(4, count, generator=generator) - 1
    quarter = torch.randint(4, (count,), generator=generator)
    is_mirrored = torch.rand(count, generator=generator) < 0.5
    angle = math.pi / 2 * quarter + TURN * angle
    turned = _rotation(angle)
    stretch = torch.exp(STRETCH * torch.stack([stretch_x, stretch_y], 1))
    stretch[is_mirrored, 0] *= -1
    sheared = torch.eye(2).repeat(count, 1, 1)
    sheared[:, 0, 1] = SHEAR * shear
    moves = torch.cat([turned @ sheared * stretch[:, None], torch.zeros(count, 2, 1)], 2)
    control_points = BEND * torch.randn(count, 2, 4, 4, generator=generator)
    bend = spline(4, height) @ control_points @ spline(4, width).T
    straight = F.affine_grid(moves, [count, 1, height, width], align_corners=False)
    return straight + bend.permute(0, 2, 3, 1)


def small_moves(
    count: int, image_shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    """Sampling grids [count, H, W, 2]: a turn, stretch and shift too small to change a class."""
    _, height, width = image_shape
    angle, stretch_x, stretch_y, x, y = 2 * torch.rand(5, count, generator=generator) - 1
    turned = _rotation(SMALL_TURN * angle)
    stretch = torch.exp(SMALL_STRETCH * torch.stack([stretch_x, stretch_y], 1))
    shift = 2 * SMALL_SHIFT * torch.stack([x, y], 1)  # a side has length 2 in the grid
    moves = torch.cat([turned * stretch[:, None], shift[:, :, None]], 2)
    return F.affine_grid(moves, [count, 1, height, width], align_corners=False)


def _rotation(angle: Tensor) -> Tensor:
    """Angles [N] in radians -> matrices [N, 2, 2]."""
    cos = angle.cos()
    sin = angle.sin()
    return torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
