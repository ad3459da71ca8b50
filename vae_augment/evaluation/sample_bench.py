"""Trains classifiers on a model's samples and on images, and scores them on other images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..datasets.synthetic import VAESyntheticDataset
from ..model.vae_model import VAEModel
from ..training import ImageData
from ..training.data.reducing import affordable, images_at_once, reduced
from .classifier import BATCH, Batch, accuracy, is_correct, strided_cnn, train_classifier

LEARNING_RATE = 2e-3  # at the start, of each classifier
MOST_SAMPLES = 20_000
FEWEST_SAMPLES = 2_000


class SampleBench:
    """Trains and scores classifiers on images of at most 32 pixels a side."""

    def __init__(self, model: VAEModel, train: ImageData, test: ImageData, updates: int) -> None:
        self.model = model
        self.data = train
        self.unseen = test
        self.updates = updates
        self.classes = len(train.classes)
        self.real: Batch = (reduced(train.images), train.labels)
        self.test: Batch = (reduced(test.images), test.labels)
        most_samples = max(FEWEST_SAMPLES, affordable(train.images, MOST_SAMPLES))
        self.count = min(MOST_SAMPLES, most_samples, updates * BATCH)

    def samples(self, seed: int) -> Batch:
        """Samples of the model, in the proportions of the training images."""
        order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(seed))
        labels = self.data.labels[order].tolist()
        drawn = VAESyntheticDataset(
            self.model, self.count, labels=labels, seed=seed, output="uint8"
        )
        images = [reduced(batch) for batch, _ in drawn.batches(images_at_once(self.data.images))]
        return torch.cat(images), drawn.targets

    def reconstructed(self, data: ImageData) -> Tensor:
        """Images, encoded and decoded."""
        labels = data.labels if self.model.spec.conditional else None
        return self.model.reconstruct(data.images, labels)

    def reconstructions(self) -> Batch:
        """As many training images as there are samples, encoded and decoded."""
        rows = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(0))
        rows = rows[: self.count]
        labels = self.data.labels[rows]
        images = [
            reduced(self.reconstructed(self.data.subset(part)))
            for part in rows.split(images_at_once(self.data.images))
        ]
        return torch.cat(images), labels

    def correct(self, batch: Batch, seed: int) -> NDArray[np.bool_]:
        """Whether a classifier of these images is right, for each test image."""
        model = self._trained(batch, seed)
        found: NDArray[np.bool_] = is_correct(model, *self.test).numpy()
        return found

    def accuracy(self, batch: Batch, seed: int) -> float:
        """The accuracy in percent of a classifier of these images."""
        return accuracy(self._trained(batch, seed), *self.test)

    def _trained(self, batch: Batch, seed: int) -> nn.Module:
        # The classifier's seed is torch's own, which belongs to the caller.
        with torch.random.fork_rng(devices=[]):
            return train_classifier(
                *batch,
                self.classes,
                updates=self.updates,
                seed=seed,
                network=strided_cnn,
                learning_rate=LEARNING_RATE,
            )
