"""A VAE from elsewhere, and what it takes to make it one that can be exported."""

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
from .exportable import ExportableVAE, Reading
from .pixel_values import PixelValues, usual_readings
from .tracing import BAKED

WRAPPERS = 'docs/export.md, "Wrappers", has the lines that adapt it.'
_SCALES = (-1000.0, -30.0, 30.0, 1000.0)  # of inputs far from the usual ones


@dataclass(frozen=True)
class ForeignVAE:
    """A VAE from elsewhere, which takes no labels.

    Attributes:
        source: where it comes from, for the file's metadata.
        module: owns the weights that `encode` and `decode` use.
        encode: images [B, C, H, W] or rows [B, C*H*W] -> (mean, log-variance), each [B, D].
        decode: latents [B, D] -> images or rows.
        image_shape: as the source gives it; it counts only if it is (channels, height, width).
        make_graph: (spec, what its numbers mean) -> the whole ONNX graph, if the source is ONNX.
    """

    source: str
    module: nn.Module
    encode: Callable[[Tensor], Any]
    decode: Callable[[Tensor], Any]
    image_shape: Sequence[int] | None = None
    make_graph: Callable[[Spec, PixelValues], ModelProto] | None = None


@dataclass(frozen=True)
class _Layout:
    """The shapes of a foreign VAE: of its images, and whether `encode` takes them as rows."""

    image_shape: tuple[int, int, int]
    takes_rows: bool
    latent_dim: int


def adapt(
    vae: ForeignVAE,
    image_shape: Sequence[int] | None,
    classes: Sequence[str],
    values: PixelValues,
) -> ExportableVAE:
    """Try `vae` on a few images, and make it take and give images [B, C, H, W] in [0, 1]."""
    _check_statistics(vae.module)
    shape = _image_shape(image_shape, vae.image_shape)
    values.check_channels(shape[0])
    layout = _try_encoder(vae, shape, values)
    _try_decoder(vae, layout, values)
    facts: dict[str, Any] = {"source": vae.source}
    if values != PixelValues():
        facts["options"] = values.options
    exporter = f"vae-augment {__version__}"
    spec = Spec(shape, layout.latent_dim, tuple(classes), training=facts, exporter=exporter)
    return ExportableVAE(
        vae.module,
        _encoder(vae, layout, values),
        _decoder(vae, layout, values),
        spec,
        graph=vae.make_graph(spec, values) if vae.make_graph else None,
        readings=lambda images: [
            _reading(vae, layout, each) for each in (values, *usual_readings(images))
        ],
    )


def _encoder(
    vae: ForeignVAE, layout: _Layout, values: PixelValues
) -> Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]:
    def encode(image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        taken = values.to_module(image)
        mean, logvar = vae.encode(taken.flatten(1) if layout.takes_rows else taken)
        return mean, logvar

    return encode


def _decoder(
    vae: ForeignVAE, layout: _Layout, values: PixelValues
) -> Callable[[Tensor, Tensor | None, Tensor], Tensor]:
    def decode(latent: Tensor, label: Tensor | None, image: Tensor) -> Tensor:
        return values.from_module(vae.decode(latent).reshape(-1, *layout.image_shape))

    return decode


def _reading(vae: ForeignVAE, layout: _Layout, values: PixelValues) -> Reading:
    encode = _encoder(vae, layout, values)
    decode = _decoder(vae, layout, values)
    return Reading(values.options, lambda images: decode(encode(images, None)[0], None, images))


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
def _try_encoder(vae: ForeignVAE, shape: tuple[int, int, int], values: PixelValues) -> _Layout:
    generator = torch.Generator().manual_seed(0)
    images = values.to_module(torch.rand(2, *shape, generator=generator))
    failures = []
    for takes_rows in (False, True):
        try:
            result = vae.encode(images.flatten(1) if takes_rows else images)
        except Exception as error:  # it may raise anything: the code is not ours
            failures.append(_first_line(error))
            continue
        problem = _problem(result)
        if problem is None:
            far = 30 * torch.randn(32, *shape, generator=generator)
            _check_logvar(vae, result[1], far.flatten(1) if takes_rows else far)
            return _Layout(shape, takes_rows, result[0].shape[1])
        failures.append(f"it returned {problem}")
    raise ExportError(
        f"encode does not turn two images of shape {shape} into a mean and a log-variance [2, D]. "
        f"Given images: {failures[0]}. Given rows of {math.prod(shape)} pixels: {failures[1]}. "
        f"{WRAPPERS}"
    )


def _problem(result: Any) -> str | None:
    """What is wrong with the result of `encode` for two images; None if it is (mean, logvar)."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return _kind(result)
    mean, logvar = result
    if not isinstance(mean, Tensor) or not isinstance(logvar, Tensor):
        return f"{_kind(mean)} and {_kind(logvar)}"
    if mean is logvar:
        raise ExportError(
            "encode returns the same tensor for mean and log-variance: this is a plain autoencoder."
        )
    if mean.shape != logvar.shape or mean.ndim != 2 or len(mean) != 2:
        return f"{tuple(mean.shape)} and {tuple(logvar.shape)}"
    return None


def _kind(result: Any) -> str:
    if isinstance(result, Tensor):
        return f"one tensor {tuple(result.shape)}"
    if isinstance(result, tuple | list):
        return f"{len(result)} values"
    return f"a {type(result).__name__}"


def _check_logvar(vae: ForeignVAE, logvar: Tensor, far: Tensor) -> None:
    """Unlike log-variances, standard deviations and variances are positive for any image."""
    try:
        anywhere = torch.cat([logvar, vae.encode(far)[1]])
    except Exception:  # the code is not ours, and need not take such images
        return
    if (anywhere > 0).all():
        raise ExportError(
            "The second result of encode is positive for any image, as a standard deviation or a "
            f"variance is. The file needs the log-variance: 2 * std.log(), or variance.log(). "
            f"{WRAPPERS}"
        )


@torch.inference_mode()
def _try_decoder(vae: ForeignVAE, layout: _Layout, values: PixelValues) -> None:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(64, layout.latent_dim, generator=generator)
    shape = layout.image_shape
    try:
        pixels = vae.decode(latent[:2])
    except Exception as error:  # it may raise anything: the code is not ours
        raise ExportError(
            f"decode fails on two latents of {layout.latent_dim} dimensions: {_first_line(error)}"
        ) from error
    if not isinstance(pixels, Tensor):
        raise ExportError(
            f"decode returns {_kind(pixels)} for two latents, expected two images of shape "
            f"{shape}. {WRAPPERS}"
        )
    found = tuple(pixels.shape)
    if found[:1] != (2,) or math.prod(found) != 2 * math.prod(shape):
        raise ExportError(
            f"decode turns two latents into {found}, expected two images of shape {shape}."
        )
    try:
        usual = vae.decode(latent).reshape(-1, *shape)
        far = torch.cat([vae.decode(scale * latent).reshape(-1, *shape) for scale in _SCALES])
    except Exception as error:  # it worked for two
        raise ExportError(f"{BAKED} decode fails on 64 latents: {_first_line(error)}") from error
    values.check_decoded(usual, far)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:150] or type(error).__name__
