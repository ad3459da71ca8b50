"""Images kept out of training, the best weights by their loss, and when to stop."""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import InputError
from .batches import HELD_OUT_NOISE, HELD_OUT_SPLIT, seeded_generator
from .config import FitConfig
from .data.image_data import ImageData, to_float
from .networks.base import Network

IMAGES_AT_ONCE = 1024


class HeldOut:
    """Images that only measure, and the weights of the epoch in which their loss was lowest.

    Attributes:
        weights: of the best epoch.
        loss: of the best epoch, in nats per image; infinite before the first measurement.
        epoch: the best one, from 1; 0 before the first measurement.
    """

    def __init__(self, data: ImageData, config: FitConfig) -> None:
        self.data = data
        self.config = config
        self.weights: Mapping[str, Tensor] = {}
        self.loss = math.inf
        self.epoch = 0

    @torch.inference_mode()
    def measure(self, network: Network, epoch: int) -> float:
        """The negative ELBO of the images, per image. Keeps the weights if it is the lowest yet."""
        shape = (len(self.data), network.noise_dim)
        noise = torch.randn(
            shape, generator=seeded_generator(self.config.seed, purpose=HELD_OUT_NOISE)
        )
        total = 0.0
        for rows in torch.arange(len(self.data)).split(IMAGES_AT_ONCE):
            image = to_float(self.data.images[rows]).to(self.config.device)
            label = self.data.labels[rows].to(self.config.device)
            terms = network(image, image, label, noise[rows].to(image))
            total += sum(term.sum().item() for term in terms)
        loss = total / len(self.data)
        if loss < self.loss:
            self.weights = copy.deepcopy(network.state_dict())
            self.loss = loss
            self.epoch = epoch
        return loss

    def has_stalled(self, epoch: int) -> bool:
        """Whether the loss has not fallen for as many epochs as the config's `patience`."""
        assert self.config.patience is not None  # `FitConfig.for_data` sets it
        return epoch - self.epoch >= self.config.patience


def split_held_out(data: ImageData, config: FitConfig) -> tuple[ImageData, ImageData | None]:
    """The images to train on and those to measure with, in the order of `data`.

    Raises:
        InputError: one of the two would be empty.
    """
    if not config.held_out:
        return data, None
    count = round(config.held_out * len(data))
    if not 0 < count < len(data):
        raise InputError(
            f"held_out {config.held_out} takes {count} of {len(data)} images, but there have to be "
            "some to train on and some to hold out. Give more images or another share."
        )
    generator = seeded_generator(config.seed, purpose=HELD_OUT_SPLIT)
    order = torch.randperm(len(data), generator=generator)
    return data.subset(order[count:].sort().values), data.subset(order[:count].sort().values)
