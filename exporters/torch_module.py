"""The source that is any PyTorch module with `encode(x) -> (mean, logvar)` and `decode(z)`."""

import importlib
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import ExportError, InputError, ModelFormatError
from ..spec import Spec
from .parts import EXPORTER, ImageShape, VAEParts, check_parts, image_decoder, parse_image_shape


def from_module(
    module: nn.Module,
    image_shape: Sequence[int] | None,
    classes: Sequence[str] = (),
    decoder_output: str = "image",
) -> VAEParts:
    """Adapt a module. `encode` may take images [B, C, H, W] or rows [B, C*H*W], and `decode` give either.

    Raises:
        ExportError: no such methods, or they give something else, or the module is in training mode.
        InputError: the image shape is not given, or `decoder_output` is unknown.
    """
    if not callable(getattr(module, "encode", None)) or not callable(getattr(module, "decode", None)):
        raise ExportError(
            f"{type(module).__name__} lacks encode or decode. Give a module with encode(x) -> (mean, logvar) and "
            "decode(z); a short subclass can add them."
        )
    _check_mode(module)
    shape = parse_image_shape(image_shape)
    vae: Any = module  # with the two methods that nn.Module does not know
    is_flat, latent_dim = _probe_encoder(vae.encode, shape)

    def encode(image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return vae.encode(image.flatten(1) if is_flat else image)

    def decode(latent: Tensor, label: Tensor | None = None) -> Tensor:
        return vae.decode(latent)

    facts = {"source": f"torch module {type(module).__name__}"}
    spec = Spec(shape, latent_dim, tuple(classes), training=facts, exporter=EXPORTER)
    return check_parts(VAEParts(module, encode, image_decoder(decode, spec, decoder_output), spec))


def _check_mode(module: nn.Module) -> None:
    training = [name or type(module).__name__ for name, part in module.named_modules() if part.training]
    if training:
        raise ExportError(
            f"The module is in training mode ({', '.join(training[:3])}): dropout and batch statistics would go into "
            "the file. Call module.eval() first."
        )


@torch.inference_mode()
def _probe_encoder(encode: Callable[[Tensor], Any], shape: ImageShape) -> tuple[bool, int]:
    """Whether `encode` takes rows rather than images, and the latent's size. At most one of the two can fit."""
    image = torch.rand(2, *shape)
    failures = []
    for is_flat, batch in ((False, image), (True, image.flatten(1))):
        try:
            mean, logvar = encode(batch)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            failures.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
            continue
        if isinstance(mean, Tensor) and mean.ndim == 2 and len(mean) == 2 and mean.shape == logvar.shape:
            return is_flat, mean.shape[1]
        failures.append(f"it returned {tuple(mean.shape)} and {tuple(logvar.shape)}")
    raise ExportError(
        f"encode does not turn two images of shape {shape} into a mean and a log-variance [2, D]. Given images: "
        f"{failures[0]}. Given rows of {image[0].numel()} pixels: {failures[1]}."
    )


def load_module(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    """Build "package.module:Class" without arguments, in evaluation mode, with weights from a file.

    Args:
        name: where the class, or a function that returns a module, is; the working directory is searched too.
        weights: .safetensors, or a state_dict saved by torch.save, read without running any code in it.

    Raises:
        InputError: there is no such class, or it cannot be built without arguments.
        ModelFormatError: the weights cannot be read, or belong to another module.
    """
    module = _import(name)()
    if not isinstance(module, nn.Module):
        raise InputError(f"{name} gives a {type(module).__name__}, not a torch.nn.Module.")
    if weights is not None:
        try:
            module.load_state_dict(load_weights(weights))
        except RuntimeError as error:
            raise ModelFormatError(f"The weights in {weights} are not those of {name}: {error}") from None
    return module.eval()


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """A state_dict from .safetensors, or from a file of torch.save with weights_only=True.

    Raises:
        ModelFormatError: neither, or a pickle that would run code.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        raise ModelFormatError(
            f"{path} holds no plain weights: {str(error).splitlines()[0]} Save them with torch.save(module.state_dict()"
            ", path) or as .safetensors; a pickled module would run whatever code is in it, and is not read."
        ) from None
    if not isinstance(state, dict):
        raise ModelFormatError(f"{path} holds a {type(state).__name__}, not a state_dict.")
    return state


def _import(name: str) -> type[nn.Module]:
    package, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(package), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{name!r} cannot be imported ({error}). Give it as package.module:Class.") from None
    finally:
        sys.path.remove(os.getcwd())
