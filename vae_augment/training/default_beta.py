"""The weight of the KL term that suits the images, where the user gives none."""

from torch import Tensor

from .data.image_data import to_float
from .quality import evenly_spread_rows

# Of the variance of the pixels, what a VAE does not explain, roughly.
UNEXPLAINED = 0.25
LEAST_BETA = 0.01


def default_beta(images: Tensor) -> float:
    """A weight of the KL term at which the cross-entropy is as strict as the images allow.

    Near its least value, the cross-entropy of a pixel x is the squared error over 2 x (1 - x), up
    to a constant: the likelihood under Gaussian noise of variance x (1 - x). Drawings in black and
    white have hardly any grey pixels, and so next to no noise. In grey and coloured images that
    noise would be far larger than the errors of a VAE, and hide detail and colour; a beta of the
    one over the other makes up for it (Rybkin, Daniilidis and Levine, "Simple and effective VAE
    training with calibrated decoders", 2021, section 3).

    Args:
        images: [N, C, H, W] uint8.

    Returns:
        From 0.01 to 1, with two digits.
    """
    pixels = to_float(images[evenly_spread_rows(len(images))])
    square = float(pixels.square().mean())
    noise = float(pixels.mean()) - square
    error = UNEXPLAINED * (square - float(pixels.mean(0).square().mean()))
    return float(f"{min(1.0, max(LEAST_BETA, error / max(noise, 1e-9))):.2g}")
