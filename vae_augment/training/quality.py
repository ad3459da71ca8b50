"""What the facts of a trained network say about its quality."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_IMAGES = 2_000  # that are looked at
NATS_IN_USE = 0.01  # KL divergence per image from which a latent dimension counts as used
POOR_SHARE = 0.8  # of the error without the network, from which its own error counts as poor

RECONSTRUCTIONS = "Reconstructions have {share:.0%} of the mean image's squared error"
REDRAWINGS = (
    "Images redrawn towards another image of their class have {share:.0%} of the squared error of "
    "images as they are"
)
# A network's error, the error without it, and the sentence about the two.
ERRORS = (
    ("reconstruction_error", "mean_image_error", RECONSTRUCTIONS),
    ("redrawing_error", "unmoved_error", REDRAWINGS),
)


class Quality(NamedTuple):
    """How good a model is, in words; a poor one needs another training."""

    text: str
    is_poor: bool


def evenly_spread_rows(count: int) -> Tensor:
    """At most about `MOST_IMAGES` rows from all over the data, which can be sorted by class."""
    return torch.arange(0, count, max(1, count // MOST_IMAGES))


def describe_quality(facts: Mapping[str, Any]) -> Quality | None:
    """`Spec.training` of a model in words; None where it says nothing of its quality.

    The facts may come from a stranger's file.
    """
    measured = [errors for errors in ERRORS if errors[0] in facts]
    if not measured:
        return _describe_unfinished(facts)
    own_error, error_without, sentence = measured[-1]
    try:
        share = float(facts[own_error]) / max(float(facts[error_without]), 1e-9)
        used = int(facts["dimensions_in_use"])
        latent_dim = int(facts["latent_dim"])
        epochs = int(facts["epochs"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    found = sentence.format(share=share)
    text = f"{found}; {used} of {latent_dim} latent dimensions are in use."
    is_poor = share > POOR_SHARE or not used
    if is_poor:
        text += (
            " That is poor: perturbed and generated images will hardly differ from one another. "
            f"Train longer (--epochs above {epochs}), with --beta 0.2, or on more images."
        )
    return Quality(text, is_poor)


def _describe_unfinished(facts: Mapping[str, Any]) -> Quality | None:
    if "epochs_run" not in facts:
        return None
    text = (
        f"Training did not finish: {facts['epochs_run']} epochs were run. The same fit command "
        "finishes it."
    )
    return Quality(text, is_poor=True)
