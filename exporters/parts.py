"""What every source is reduced to: an encoder, a decoder and their spec."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from .._version import __version__
from ..errors import ExportError, InputError
from ..spec import Spec

if TYPE_CHECKING:
    import onnx

DECODER_OUTPUTS = ("image", "logits")
EXPORTER = f"vae-augment {__version__}"
ImageShape = tuple[int, int, int]


class Encode(Protocol):
    """Images [B, C, H, W] in [0, 1] (and labels [B], when conditional) -> mean and log-variance, each [B, D]."""

    def __call__(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode."""


class Decode(Protocol):
    """Latents [B, D] (and labels [B], when conditional) -> images [B, C, H, W] in [0, 1]."""

    def __call__(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Decode."""


@dataclass(frozen=True)
class VAEParts:
    """A VAE from anywhere. `module` owns the weights that `encode` and `decode` use.

    A source that is an ONNX graph already brings it as `graph`; its `encode` and `decode` are then the reference.
    """

    module: nn.Module
    encode: Encode
    decode: Decode
    spec: Spec
    graph: "onnx.ModelProto | None" = None


def image_decoder(decode: Decode, spec: Spec, decoder_output: str) -> Decode:
    """Make images in [0, 1] of what `decode` gives: rows [B, C*H*W] or images, as pixels or as logits.

    Raises:
        InputError: another word than `DECODER_OUTPUTS`.
        ExportError: what is said to be logits has been through a sigmoid already.
    """
    if decoder_output not in DECODER_OUTPUTS:
        raise InputError(f"decoder_output is {decoder_output!r}; choose from {', '.join(DECODER_OUTPUTS)}.")

    if decoder_output == "logits":
        _check_logits(decode, spec.latent_dim)

    def decode_image(latent: Tensor, label: Tensor | None = None) -> Tensor:
        pixels = decode(latent, label).reshape(-1, *spec.image_shape)
        return pixels.sigmoid() if decoder_output == "logits" else pixels

    return decode_image


@torch.inference_mode()
def _check_logits(decode: Decode, latent_dim: int) -> None:
    logits = decode(torch.randn(2, latent_dim, generator=torch.Generator().manual_seed(0)))
    if logits.min() >= 0 and logits.max() <= 1:
        raise ExportError(
            "decoder_output is 'logits', but the decoder's values all lie in [0, 1], so they are no logits. Leave "
            "decoder_output (--decoder-output) out."
        )


@torch.inference_mode()
def check_parts(parts: VAEParts) -> VAEParts:
    """Try the parts on two random images.

    Raises:
        ExportError: they fail, or give something else than what `Encode` and `Decode` promise.
    """
    image = torch.rand(2, *parts.spec.image_shape)
    try:
        mean, logvar = parts.encode(image)
        decoded = parts.decode(mean)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ExportError(f"The model fails on two images of shape {parts.spec.image_shape}: {error}") from error
    if mean is logvar:
        raise ExportError("encode returns the same tensor for mean and log-variance, so this is a plain autoencoder.")
    expected = (2, parts.spec.latent_dim)
    if tuple(mean.shape) != expected or tuple(logvar.shape) != expected or decoded.shape != image.shape:
        raise ExportError(
            f"encode gives {tuple(mean.shape)} and {tuple(logvar.shape)}, expected mean and log-variance of the shape "
            f"{expected}; decode gives {tuple(decoded.shape)}, expected {tuple(image.shape)}."
        )
    return parts


def parse_image_shape(shape: Sequence[int] | None, otherwise: Sequence[int] | None = None) -> ImageShape:
    """(C, H, W) as asked for, or as the source says; `InputError` when neither tells or they disagree."""
    source = tuple(otherwise) if otherwise is not None and len(otherwise) == 3 else None
    given = tuple(shape) if shape is not None else source
    if given is None or len(given) != 3 or min(given) < 1:
        raise InputError(
            f"The image shape is {given}, which the source does not settle. Pass it as (channels, height, width): "
            "image_shape=(1, 28, 28), --image-shape 1,28,28."
        )
    if source is not None and given != source:
        raise InputError(f"image_shape is {given}, but the model was made for {source}.")
    return given[0], given[1], given[2]
