"""Learning from images without labels: a perturbed view gets the answer that the image gets."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError

Map = Callable[[Tensor], Tensor]


def consistency_loss(
    classifier: Map, images: Tensor, view: Map, *, threshold: float = 0.95, temperature: float = 0.0
) -> Tensor:
    """How far the answers to perturbed images are from the confident answers to the images.

    Equation 4 of Sohn et al., "FixMatch" (2020): the cross-entropy between the classifier's answer
    to the perturbed view and the most probable class of the image, averaged over all images; images
    without a confident answer count as 0. With a temperature the target is the sharpened answer
    instead (Xie et al., "Unsupervised data augmentation", 2020), and the loss the KL divergence,
    which is 0 where both answers agree. Add it to the loss of the labelled images, with a weight of
    at most 1 at first; it needs no labels.

    >>> loss = consistency_loss(classifier, unlabelled, VAEAugment("mnist", p=1.0))

    Args:
        classifier: from images to logits [B, classes], in training mode. It is called twice.
        images: [B, C, H, W], in the range that classifier and view take (float in [0, 1] for
            `VAEAugment`). FixMatch augments them lightly.
        view: from the images to their perturbed views [B, C, H, W], in the same order; `VAEAugment`
            or any other.
        threshold: the probability, 0 to 1, that the answer must reach to count; 0 counts all.
        temperature: 0 takes the most probable class as the target; above 0 the logits are divided
            by it.

    Returns:
        A scalar of at least 0, in nats per image. Its gradient flows through the perturbed views
        only.

    Raises:
        InputError: no images, a value out of range, or a view with another number of images.
    """
    if not len(images):
        raise InputError(
            "There are no images in the batch, so the mean over them is undefined. Skip empty "
            "batches."
        )
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}; it must be a probability, in [0, 1].")
    if not 0 <= temperature < math.inf:
        raise InputError(f"temperature is {temperature}; it must be finite and at least 0.")
    with torch.no_grad():
        answer = classifier(images).float()
        is_confident = answer.softmax(1).amax(1) >= threshold
        if temperature:
            target = (answer / temperature).softmax(1)
        else:
            target = F.one_hot(answer.argmax(1), answer.shape[1]).float()
    changed = view(images)
    if len(changed) != len(images):
        raise InputError(
            f"The view made {len(changed)} images of {len(images)}; it must give one for each."
        )
    log_answer = classifier(changed).float().log_softmax(1)
    divergence = F.kl_div(log_answer, target, reduction="none").sum(1)
    return (divergence * is_confident).mean()
