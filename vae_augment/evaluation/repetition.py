"""One repetition of a comparison: which images are labelled, and which are tested on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..model.vae_model import VAEModel
from ..training import ImageData
from ..training.data.image_data import to_float
from .classifier import Batch

UPDATES = 1500


@dataclass(frozen=True)
class Repetition:
    """The images of one repetition, the same for all methods, so that accuracies are paired.

    Attributes:
        labelled: for training.
        test: for scoring only.
        seed: of everything random.
        pool: more images for training, all with the label -1; None without a pool.
        updates: of each classifier, of 50 images.
        device: "cpu" or "cuda".
    """

    labelled: ImageData
    test: ImageData
    seed: int
    pool: ImageData | None = None
    updates: int = UPDATES
    device: str = "cpu"
    _vaes: dict[Any, VAEModel] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def with_pool(self) -> ImageData:
        """The labelled images, followed by the pool."""
        if self.pool is None:
            return self.labelled
        images = torch.cat([self.labelled.images, self.pool.images])
        labels = torch.cat([self.labelled.labels, self.pool.labels])
        return replace(self.labelled, images=images, labels=labels)

    def labelled_batch(self) -> Batch:
        """The labelled images, as `on_device` gives them."""
        return self.on_device(self.labelled)

    def on_device(self, data: ImageData) -> Batch:
        """Images [N, C, H, W], float in [0, 1], and labels [N], on the device."""
        return to_float(data.images.to(self.device)), data.labels.to(self.device)

    def vae(self, make: "MakeVAE") -> VAEModel:
        """`make(self)`, made at the first call and shared by all methods."""
        if make not in self._vaes:
            self._vaes[make] = make(self)
        return self._vaes[make]


MakeVAE = Callable[[Repetition], VAEModel]
