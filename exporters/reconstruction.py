"""Does a VAE from elsewhere reconstruct images as the options say that it does?"""

import warnings

import torch
from torch import Tensor

from ..training import ImageData
from ..training.data.image_data import to_float
from ..training.quality import POOR_SHARE
from .exportable import ExportableVAE, Reading

IMAGES = 256
_CLEARLY = 0.5  # share of the error that another reading may have at most to be recommended


def warn_if_poor(vae: ExportableVAE, data: ImageData) -> None:
    """Warn if the reconstructions of `data` are hardly better than its mean image, or could be.

    The error is the mean squared one per pixel, and counted as a share of the mean image's. Other
    options are named where they give half the error.
    """
    if vae.readings is None:
        return
    rows = torch.arange(0, len(data), max(1, len(data) // IMAGES))
    images = to_float(data.images[rows])
    used, *others = vae.readings(images)
    with torch.inference_mode():
        share = _share_of_error(used, images)
        shares = {reading.options: _share_of_error(reading, images) for reading in others}
    best = min(shares, key=shares.__getitem__)
    is_better = shares[best] < _CLEARLY * min(share, POOR_SHARE)
    if share <= POOR_SHARE and not is_better:
        return
    remedy = "If the module is trained, image_range or decoder_output (docs/export.md) is wrong."
    if is_better:
        remedy = f"With {best} they have {shares[best]:.0%}: pass that, if the training was so."
    warnings.warn(
        f"Reconstructions of {data.name} have {share:.0%} of the mean image's squared error, with "
        f"{used.options}. {remedy}",
        stacklevel=3,  # the line that calls `export`
    )


def _share_of_error(reading: Reading, images: Tensor) -> float:
    error = (reading.reconstruct(images) - images).square().mean()
    of_the_mean = (images.mean(0) - images).square().mean()
    share = (error / of_the_mean.clamp(min=1e-9)).item()
    return share if share == share else float("inf")  # NaN is the worst of all
