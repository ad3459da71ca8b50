"""Membership attacks: does the model show which images it was trained on?

Each attack is a score per image, larger where the attacker believes that the image was trained on.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics.pairwise import euclidean_distances
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ..model.posterior import perturb
from ..model.vae_model import VAEModel
from ..training.data.image_data import ImageData, to_float
from ..training.data.reducing import images_at_once
from .intervals import CONFIDENCE, Interval
from .neighbours import Features, nearest

Scores = NDArray[np.float64]

RECONSTRUCTION = "reconstruction error"
ANOMALY = "anomaly score"
BOUND = "bound on the likelihood"
DISTANCE = "distance to samples"
BATCH = 512
BOUND_SAMPLES = 8
RESAMPLES = 500
FEWEST = 20  # images of a class on either side, for a row of its own


class Attack(NamedTuple):
    """How well a score tells training images from others.

    `auc` is the chance that a training image has the higher score of a pair; 0.5 is guessing. The
    other two are the share of training images found by a threshold that 1 % or 0.1 % of the others
    pass (Carlini et al., "Membership inference attacks from first principles", 2022); None with
    fewer than 100 or 1,000 others.
    """

    auc: Interval
    tpr_at_1_percent: Interval | None
    tpr_at_01_percent: Interval | None


def image_scores(model: VAEModel, data: ImageData) -> dict[str, Scores]:
    """The scores that need an image and the model alone, each [N].

    A model that redraws images gives the reconstruction error alone: it has no likelihood. A
    conditional model is told the labels.
    """
    batches = []
    parts = torch.arange(len(data)).split(min(BATCH, images_at_once(data.images)))
    for rows in tqdm(parts, "attacking", unit="batch", disable=None):
        label = data.labels[rows] if model.spec.conditional else None
        batches.append(_batch_scores(model, to_float(data.images[rows]), label))
    return {
        name: torch.cat([batch[name] for batch in batches]).double().numpy() for name in batches[0]
    }


def _batch_scores(model: VAEModel, image: Tensor, label: Tensor | None) -> dict[str, Tensor]:
    error = (model.reconstruct(image, label) - image).square().flatten(1).sum(1)
    if not model.spec.kind.samples:
        return {RECONSTRUCTION: -error}
    return {
        RECONSTRUCTION: -error,
        ANOMALY: -model.anomaly_score(image),
        BOUND: likelihood_bound(model, image, label),
    }


def likelihood_bound(model: VAEModel, image: Tensor, label: Tensor | None) -> Tensor:
    """A bound on log p(x) in nats, [B], with the prior N(0, I) of the training.

    Burda et al., "Importance weighted autoencoders" (2016), equation 8, with 8 samples. Grey levels
    count as probabilities.
    """
    mean, logvar = model.encode(image, label)
    noise = torch.randn(
        BOUND_SAMPLES, *mean.shape, generator=torch.Generator().manual_seed(0), device="cpu"
    )
    weights = [_log_weight(model, image, label, mean, logvar, each) for each in noise]
    return torch.stack(weights).logsumexp(0) - math.log(BOUND_SAMPLES)


def _log_weight(
    model: VAEModel,
    image: Tensor,
    label: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    noise: Tensor,
) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x) at one sample z of the posterior, [B]."""
    latent = perturb(mean, logvar, noise, 1.0)
    cost = F.binary_cross_entropy(model.decode(latent, label), image, reduction="none")
    # The factors of 2 pi of the two normal densities cancel.
    prior = -0.5 * latent.square().sum(1)
    posterior = -0.5 * (noise.square() + logvar).sum(1)
    return prior - posterior - cost.flatten(1).sum(1)


def distance_scores(images: Features, samples: Features) -> Scores:
    """How many samples lie near an image, and how near: the Monte-Carlo attack, [N].

    The mean over samples within a radius r of log(r / distance), where r is the median distance
    from an image to its nearest sample (Hilprecht et al., "Monte Carlo and reconstruction
    membership inference attacks against generative models", 2019).

    Args:
        images: [N, F].
        samples: [S, F].
    """
    smallest = float(np.finfo(np.float32).tiny)
    radius = max(float(np.median(nearest(samples, images).distances)), smallest)
    scores = []
    for rows in np.array_split(images, math.ceil(len(images) / BATCH)):
        distances = np.maximum(euclidean_distances(rows, samples), smallest)
        closeness = np.log(radius / distances)
        scores.append(np.maximum(closeness, 0).mean(1, dtype=np.float64))
    return np.concatenate(scores)


def calibrated(scores: Scores, groups: NDArray[np.int64]) -> Scores:
    """Scores [N] less the median of their group [N], over half the range of its middle half.

    Otherwise a class whose images are simple would look like training images.
    """
    result = np.empty_like(scores)
    for group in np.unique(groups):
        rows = groups == group
        low, middle, high = np.quantile(scores[rows], [0.25, 0.5, 0.75])
        result[rows] = (scores[rows] - middle) / max((high - low) / 2, 1e-12)
    return result


def measure(
    members: Scores, others: Scores, generator: np.random.Generator, attacks: int = 1
) -> Attack:
    """How well a score separates training images from others, with intervals by the bootstrap.

    Args:
        members: scores of training images.
        others: scores of images that were not trained on.
        generator: of the resampling.
        attacks: how many attacks the strongest is taken from. The intervals hold for all of them
            together (Bonferroni), so that the strongest of several harmless ones is no finding.
    """
    resampled = [
        _measures(_resample(members, generator), _resample(others, generator))
        for _ in range(RESAMPLES)
    ]
    outside = (1 - CONFIDENCE) / 2 / attacks
    low, high = np.quantile(resampled, [outside, 1 - outside], axis=0)
    values = zip(_measures(members, others).tolist(), low.tolist(), high.tolist(), strict=True)
    auc, tpr_at_1, tpr_at_01 = (Interval(*ends) for ends in values)
    return Attack(
        auc, tpr_at_1 if len(others) >= 100 else None, tpr_at_01 if len(others) >= 1000 else None
    )


def _resample(scores: Scores, generator: np.random.Generator) -> Scores:
    return generator.choice(scores, len(scores))


def _measures(members: Scores, others: Scores) -> Scores:
    """The AUC, and the share of members above the thresholds of 1 % and of 0.1 % of the others."""
    ranks = stats.rankdata(np.concatenate([members, others]))[: len(members)]
    pairs_won = ranks.sum() - len(members) * (len(members) + 1) / 2
    auc = pairs_won / (len(members) * len(others))
    thresholds = np.quantile(others, [0.99, 0.999], method="higher")
    return np.array([auc, *(members[:, None] > thresholds).mean(0)])
