"""Settings that suit the images, where the user gives none."""

import math
from typing import NamedTuple

from torch import Tensor

from .data.image_data import to_float
from .networks import find_network
from .networks.base import Network
from .networks.energy import EnergyVAE
from .networks.vae import ConvVAE
from .quality import evenly_spread_rows

# Of a training without a given number of epochs.
FEWEST_UPDATES = 1500
UPDATES_PER_CUBE_ROOT = 240
# Of less than this, `beta_of_likelihood` is that of images whose grey levels matter: 0.03 to 0.27
# for blood cells, ultrasound, scanned digits and garments, but 0.86 to 1 for handwriting.
LEAST_OF_DRAWINGS = 0.5
BETA_OF_ENERGY = 0.1
# With this and 32 latent dimensions, a residual network learned 5.5 points more from samples of
# Devanagari than with 20 and the beta of the likelihood, and 7.6 more of symbols; others as much.
BETA_OF_DRAWN_CLASSES = 0.3
# So many passes over 5,000 images of Devanagari, in updates of 128, taught 2.9 points more than
# 103, and 200 half of that; over 5,000 symbols they taught 0.7 points more.
PASSES_OF_DRAWN_CLASSES = 400
USUAL_BATCH = 128
# Of images of so many pixels or fewer; they take "conv" a quarter of an hour of one core.
MOST_UPDATES_OF_DRAWN_CLASSES = 16_000
USUAL_PIXELS = 28 * 28
# Updates times the pixels of an image, so that two cores without matrix units take half an hour at
# most: "conv" 1.1 s for an update of 128x128, "energy" 0.3 s for one of 28x28.
MOST_PIXELS = 26_000_000
MOST_PIXELS_OF_ENERGY = 4_500_000
# Of 2,560 blood cells, enlarged to 64x64, 1,000 updates of "energy" taught a residual network 54 %,
# 4,000 of "conv", in half the time, 69 %. At 28x28, where 3,283 are made, "energy" taught 82 %.
ENOUGH_OF_ENERGY = 3000
FEW_PER_CLASS = 20
# Of the updates, for a run that starts from the weights of another one: they taught as much, or
# more, and gave less away than all of them (docs/experiments.md has figures).
SHARE_FROM_START = 0.5
# Fewer images than so many a VAE learns by heart, unless it sees them distorted.
MANY_IMAGES = 50_000
# Of the variance of the pixels, what a VAE does not explain, roughly.
UNEXPLAINED = 0.25
LEAST_BETA = 0.01


class Suited(NamedTuple):
    """A network by its name, the size of its latent, the weight of its KL term, and its updates."""

    network: str
    latent_dim: int
    beta: float
    updates: int


def suited_to(images: Tensor, *, per_class: float, network: str | None = None) -> Suited:
    """The settings that suit images [N, C, H, W] uint8.

    "energy" for labelled images with grey levels or colours: what a classifier learns from samples
    of such images needs their texture, which "conv" blurs (docs/experiments.md has figures). "conv"
    for drawings, for images without labels, where there are few images per class, of which
    "energy" learned the classes less well (40 classes of 7), and for images so large that half an
    hour holds too few updates of "energy": its samples teach less than those of "conv" then.

    Args:
        per_class: how many of the images have a label, over the number of classes; 0 = no labels.
        network: the one that is given; None = the one that suits.

    Raises:
        InputError: there is no such network.
    """
    beta = beta_of_likelihood(images)
    is_drawn = beta >= LEAST_OF_DRAWINGS
    fills_classes = per_class > FEW_PER_CLASS
    pixels = images[0, 0].numel()
    usual = default_updates(len(images))
    if network is None:
        is_affordable = most_updates(EnergyVAE, pixels) >= min(usual, ENOUGH_OF_ENERGY)
        network = "energy" if fills_classes and not is_drawn and is_affordable else "conv"
    kind = find_network(network).network
    updates = min(usual, most_updates(kind, pixels))
    if kind is EnergyVAE:
        return Suited(network, 32, BETA_OF_ENERGY, updates)
    if kind is not ConvVAE:
        return Suited(network, 20, 1.0, updates)
    if fills_classes and is_drawn:
        updates = max(updates, updates_of_drawn_classes(len(images), pixels))
        return Suited(network, 32, BETA_OF_DRAWN_CLASSES, updates)
    return Suited(network, 20, beta, updates)


def default_distort(network: str, images: int) -> bool:
    """Whether a network sees so many images distorted."""
    kind = find_network(network).network
    return images < MANY_IMAGES and kind.kind.samples and not kind.is_classic


def default_updates(images: int) -> int:
    """How many updates suit so many images, if they are not large."""
    return math.ceil(max(FEWEST_UPDATES, UPDATES_PER_CUBE_ROOT * images ** (1 / 3)))


def most_updates(kind: type[Network], pixels: int) -> int:
    """How many updates of images of so many pixels take two cores half an hour, roughly."""
    most = MOST_PIXELS_OF_ENERGY if kind is EnergyVAE else MOST_PIXELS
    return max(1, most // pixels)


def updates_of_drawn_classes(images: int, pixels: int) -> int:
    """How many updates let samples of labelled drawings teach about as much as they can.

    Larger images get fewer, in proportion, so that it takes no longer.
    """
    passes = math.ceil(PASSES_OF_DRAWN_CLASSES * images / USUAL_BATCH)
    most = MOST_UPDATES_OF_DRAWN_CLASSES * USUAL_PIXELS // max(pixels, USUAL_PIXELS)
    return min(most, passes)


def beta_of_likelihood(images: Tensor) -> float:
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
