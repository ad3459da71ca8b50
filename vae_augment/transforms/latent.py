"""Pure functions on latents: perturb them, move them towards or away from a partner."""

import torch
from torch import Tensor

from ..model.posterior import posterior_length

NEIGHBOURS = 10


def interpolate(mean: Tensor, logvar: Tensor, partner: Tensor, strength: float) -> Tensor:
    """Move towards `partner` by `strength` posterior lengths, at most onto it. All [B, D].

    The direction is that of DeVries and Taylor, "Dataset augmentation in feature space" (2017),
    equation 3; the length is in units of the posterior's spread, so that `strength` means the same
    as for `perturb`.
    """
    return mean + (partner - mean) * _share(mean, logvar, partner, strength).clamp(max=1)


def extrapolate(mean: Tensor, logvar: Tensor, partner: Tensor, strength: float) -> Tensor:
    """Move away from `partner` by `strength` posterior lengths. All [B, D].

    DeVries and Taylor (2017), equation 4.
    """
    return mean - (partner - mean) * _share(mean, logvar, partner, strength)


def _share(mean: Tensor, logvar: Tensor, partner: Tensor, strength: float) -> Tensor:
    difference = partner - mean
    distance = difference.norm(dim=1, keepdim=True)
    # Where all images are alike, as in the dimensions of `EnergyVAE` for detail, there is no way to
    # go.
    length = posterior_length(logvar.masked_fill(difference == 0, -torch.inf))
    # An image that is its own partner stays where it is.
    return torch.where(distance > 0, strength * length / distance.clamp(min=1e-12), 0.0)


def partner_in_batch(labels: Tensor, choice: Tensor) -> Tensor:
    """The index of another image of each image's class, chosen uniformly, [B] int64.

    It is the image's own where there is no other.

    Args:
        labels: [B], -1 = unknown: such an image has no other.
        choice: [B], uniform in [0, 1).
    """
    _, group, counts = labels.unique(return_inverse=True, return_counts=True)
    start = (counts.cumsum(0) - counts)[group]
    count = counts[group]
    order = labels.argsort(stable=True)  # the images sorted by class
    place = order.argsort() - start
    step = 1 + (choice * (count - 1)).long()  # 1..count - 1, so never back to the image itself
    partner = order[start + (place + step) % count]
    return torch.where(labels >= 0, partner, torch.arange(len(labels), device=labels.device))


def nearest_partner(
    mean: Tensor, labels: Tensor | None, choice: Tensor, latents: Tensor, latent_labels: Tensor
) -> Tensor:
    """One of the `NEIGHBOURS` nearest latents of the bank, [B, D].

    They are of the image's class where that is known; without labels, the nearest are probably of
    its class (DeVries and Taylor, 2017, section 4).
    """
    distance = torch.cdist(mean, latents)
    if labels is not None:
        distance = distance.masked_fill(
            (labels[:, None] >= 0) & (latent_labels != labels[:, None]), torch.inf
        )
    near = distance.topk(min(NEIGHBOURS, len(latents)), largest=False)
    known = near.values.isfinite().sum(1)
    column = (choice * known).long()
    partner = latents[near.indices.gather(1, column[:, None])[:, 0]]
    return torch.where(known[:, None] > 0, partner, mean)
