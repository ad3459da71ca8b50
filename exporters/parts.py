"""What every source is reduced to: an encoder, a decoder and their spec."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from .._version import __version__
from ..errors import ExportError, InputError
from ..model.spec import Spec

DECODER_OUTPUTS = ("image", "logits")


@dataclass(frozen=True)
class VAEParts:
    """A VAE ready for export. `module` owns the weights that `encode` and `decode` use.

    Attributes: encode: images [B, C, H, W] in [0, 1] and labels [B] or None -> mean and
        log-variance, each [B, D]. decode: latents [B, D], labels [B] or None, and the encoded
        images -> images [B, C, H, W] in [0, 1]. graph: the whole ONNX graph, if the source is one;
        `encode` and `decode` are then the reference.
    """

    module: nn.Module
    encode: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
    decode: Callable[[Tensor, Tensor | None, Tensor], Tensor]
    spec: Spec
    graph: ModelProto | None = None


@dataclass(frozen=True)
class ForeignVAE:
    """A VAE from elsewhere, which takes no labels: `encode` and `decode` work on images or on rows [B, C*H*W].

    Attributes:
        source: where it comes from, for the file's metadata.
        image_shape: as the source gives it; it counts only if it is (channels, height, width).
        make_graph: (spec, decoder output) -> the whole ONNX graph, if the source is ONNX.
    """

    source: str
    module: nn.Module
    encode: Callable[[Tensor], Any]
    decode: Callable[[Tensor], Tensor]
    image_shape: Sequence[int] | None = None
    make_graph: Callable[[Spec, str], ModelProto] | None = None


def adapt(
    vae: ForeignVAE, image_shape: Sequence[int] | None, classes: Sequence[str], decoder_output: str
) -> VAEParts:
    """Try `vae` on two images, and make it take and give images [B, C, H, W] in [0, 1]."""
    if decoder_output not in DECODER_OUTPUTS:
        raise InputError(
            f"decoder_output is {decoder_output!r}; choose from {', '.join(DECODER_OUTPUTS)}."
        )
    _check_statistics(vae.module)
    gives_logits = decoder_output == "logits"
    shape = _image_shape(image_shape, vae.image_shape)
    takes_rows, latent_dim = _try_encoder(vae.encode, shape)
    _try_decoder(vae.decode, latent_dim, shape, gives_logits)

    def encode(image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return vae.encode(image.flatten(1) if takes_rows else image)

    def decode(latent: Tensor, label: Tensor | None, image: Tensor) -> Tensor:
        pixels = vae.decode(latent).reshape(-1, *shape)
        return pixels.sigmoid() if gives_logits else pixels

    facts = {"source": vae.source}
    spec = Spec(
        shape, latent_dim, tuple(classes), training=facts, exporter=f"vae-augment {__version__}"
    )
    graph = vae.make_graph(spec, decoder_output) if vae.make_graph else None
    return VAEParts(vae.module, encode, decode, spec, graph)


def _check_statistics(module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is None:
            raise ExportError(
                f"{name or 'The module'} is a {type(layer).__name__} without running statistics: "
                "what becomes of an image would depend on the others of its batch. Train with "
                "track_running_stats=True."
            )


def _image_shape(given: Sequence[int] | None, source: Sequence[int] | None) -> tuple[int, int, int]:
    known = tuple(source) if source is not None and len(source) == 3 else None
    shape = tuple(given) if given is not None else known
    if shape is None or len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"The image shape is {shape}, which the source does not settle. Pass it as (channels, "
            "height, width): image_shape=(1, 28, 28), --image-shape 1,28,28."
        )
    if known is not None and shape != known:
        raise InputError(f"image_shape is {shape}, but the model was made for {known}.")
    return shape[0], shape[1], shape[2]


@torch.inference_mode()
def _try_encoder(encode: Callable[[Tensor], Any], shape: tuple[int, ...]) -> tuple[bool, int]:
    """Whether `encode` takes rows of pixels rather than images, and the size of the latent."""
    image = torch.full((2, *shape), 0.5)
    failures = []
    for takes_rows, batch in ((False, image), (True, image.flatten(1))):
        try:
            mean, logvar = encode(batch)
            shapes = tuple(mean.shape), tuple(logvar.shape)
        except Exception as error:  # it may raise anything: the code is not ours
            failures.append(str(error).partition("\n")[0] or type(error).__name__)
            continue
        if mean is logvar:
            raise ExportError(
                "encode returns the same tensor for mean and log-variance: this is a plain "
                "autoencoder."
            )
        if shapes[0] == shapes[1] and len(shapes[0]) == 2 and shapes[0][0] == 2:
            return takes_rows, shapes[0][1]
        failures.append(f"it returned {shapes[0]} and {shapes[1]}")
    raise ExportError(
        f"encode does not turn two images of shape {shape} into a mean and a log-variance [2, D]. "
        f"Given images: {failures[0]}. Given rows of {math.prod(shape)} pixels: {failures[1]}."
    )


@torch.inference_mode()
def _try_decoder(
    decode: Callable[[Tensor], Any], latent_dim: int, shape: tuple[int, ...], gives_logits: bool
) -> None:
    latent = torch.randn(2, latent_dim, generator=torch.Generator().manual_seed(0))
    try:
        pixels = decode(latent)
        found = tuple(pixels.shape)
    except Exception as error:  # it may raise anything: the code is not ours
        raise ExportError(
            f"decode fails on two latents of {latent_dim} dimensions: {error}"
        ) from error
    if found[:1] != (2,) or math.prod(found) != 2 * math.prod(shape):
        raise ExportError(
            f"decode turns two latents into {found}, expected two images of shape {shape}."
        )
    if gives_logits and pixels.min() >= 0 and pixels.max() <= 1:
        raise ExportError(
            "decoder_output is 'logits', but the decoder's values all lie in [0, 1], so they are "
            "not logits. Leave decoder_output (--decoder-output) out."
        )
