"""How good a trained network is, in numbers and in words."""

from collections.abc import Mapping
from typing import Any

import torch

from ..transforms.latent import partner_in_batch
from .data.image_data import ImageData, to_float
from .networks.redrawing import RedrawingVAE
from .networks.vae import VAE

IMAGES = 2_000  # that it looks at
IN_USE = 0.01  # nats of KL divergence per image from which a latent dimension counts as used
POOR = 0.8  # share of the mean image's error from which reconstructions count as poor


@torch.inference_mode()
def judge(network: VAE, data: ImageData) -> dict[str, Any]:
    """Facts for `Spec.training`.

    `reconstruction_error` and `mean_image_error` are mean squared errors per pixel, of
    reconstructions and of the mean image of `data`, pixels in [0, 1]; `dimensions_in_use` counts
    latent dimensions with a mean KL above 0.01 nats.
    """
    step = max(
        1, len(data) // IMAGES
    )  # images can be sorted by class, so take them from all over the data
    rows = torch.arange(0, len(data), step)
    image = to_float(data.images[rows])
    label = data.labels[rows]
    means, logvars = zip(*map(network.encode, image.split(256), label.split(256)), strict=True)
    decoded = torch.cat(
        [network.decode(*batch) for batch in zip(means, label.split(256), strict=True)]
    )
    mean = torch.cat(means)
    logvar = torch.cat(logvars)
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(0)
    return {
        "reconstruction_error": round((decoded - image).square().mean().item(), 6),
        "mean_image_error": round((image.mean(0) - image).square().mean().item(), 6),
        "dimensions_in_use": int((kl > IN_USE).sum()),
    }


@torch.inference_mode()
def judge_pairs(network: RedrawingVAE, data: ImageData) -> dict[str, Any]:
    """As `judge`, of a network that is conditioned on an image.

    `redrawing_error` and `unmoved_error` are mean squared errors per pixel against another image of
    the class, of the image redrawn towards it (by the posterior mean) and of the image as it is.
    """
    rows = torch.arange(0, len(data), max(1, len(data) // IMAGES))
    partner = partner_in_batch(data.labels, torch.full((len(data),), 0.5))
    error = []
    unmoved = []
    kl = []
    for chosen in rows.split(256):
        image = to_float(data.images[chosen])
        other = to_float(data.images[partner[chosen]])
        mean, _ = network.posterior(torch.cat([image, other], 1)).chunk(2, 1)
        error.append((network.decode(mean, None, image) - other).square().mean((1, 2, 3)))
        unmoved.append((image - other).square().mean((1, 2, 3)))
        prior_mean, prior_logvar = network.encode(image)
        kl.append((mean - prior_mean).square() / prior_logvar.exp())
    return {
        "redrawing_error": round(torch.cat(error).mean().item(), 6),
        "unmoved_error": round(torch.cat(unmoved).mean().item(), 6),
        "dimensions_in_use": int((0.5 * torch.cat(kl).mean(0) > IN_USE).sum()),
    }


def verdict(facts: Mapping[str, Any]) -> tuple[str, bool] | None:
    """`Spec.training` of a model in words, and whether the model is poor; None where it says nothing of that.

    The facts may come from a stranger's file.
    """
    if "epochs_run" in facts and not {"reconstruction_error", "redrawing_error"} & facts.keys():
        return (
            (
                f"Training did not finish: {facts['epochs_run']} epochs were run. The same fit "
                "command finishes it."
            ),
            True,
        )
    try:
        is_paired = "redrawing_error" in facts
        kinds = (
            ("redrawing_error", "unmoved_error")
            if is_paired
            else ("reconstruction_error", "mean_image_error")
        )
        share = float(facts[kinds[0]]) / max(float(facts[kinds[1]]), 1e-9)
        used, latent_dim, epochs = (
            int(facts[key]) for key in ("dimensions_in_use", "latent_dim", "epochs")
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    found = "Reconstructions have {:.0%} of the mean image's squared error"
    if is_paired:
        found = (
            "Images redrawn towards another image of their class have {:.0%} of the squared error "
            "of images as they are"
        )
    text = f"{found.format(share)}; {used} of {latent_dim} latent dimensions are in use."
    is_poor = share > POOR or not used
    if is_poor:
        text += (
            " That is poor: perturbed and generated images will hardly differ from one another. "
            f"Train longer (--epochs above {epochs}), with --beta 0.2, or on more images."
        )
    return text, is_poor
