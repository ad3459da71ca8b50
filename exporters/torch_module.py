"""The source that is any PyTorch module with `encode(x) -> (mean, logvar)` and `decode(z)`."""

import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import ExportError, InputError, ModelFormatError
from .parts import ForeignVAE


def from_module(module: nn.Module) -> ForeignVAE:
    """Adapt a module in evaluation mode that has encode and decode."""
    vae: Any = module  # the two methods are not in the type of nn.Module
    if not callable(getattr(vae, "encode", None)) or not callable(getattr(vae, "decode", None)):
        raise ExportError(
            f"{type(module).__name__} lacks encode or decode. Give a module with encode(x) -> "
            "(mean, logvar) and decode(z); a short subclass can add them."
        )
    training = [
        name or type(module).__name__ for name, part in module.named_modules() if part.training
    ]
    if training:
        raise ExportError(
            f"The module is in training mode ({', '.join(training[:3])}): dropout and batch "
            "statistics would go into the file. Call module.eval() first."
        )
    return ForeignVAE(f"torch module {type(module).__name__}", module, vae.encode, vae.decode)


def load_module(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    """Build "package.module:Class" without arguments, in evaluation mode, with weights from a file.

    Args: name: where the class, or a function that returns a module, is; the working directory is
        searched too. weights: .safetensors, or a state_dict saved by torch.save, read without
        running any code in it.

    Raises:
        InputError: there is no such class, or it cannot be built without arguments.
        ModelFormatError: the weights cannot be read, or belong to another module.
    """
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        module = pkgutil.resolve_name(name)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"{name!r} cannot be imported and called without arguments ({error}). Give it as "
            "package.module:Class."
        ) from error
    finally:
        sys.path.remove(folder)
    if not isinstance(module, nn.Module):
        raise InputError(f"{name} gives a {type(module).__name__}, not a torch.nn.Module.")
    if weights is not None:
        try:
            module.load_state_dict(load_weights(weights))
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ModelFormatError(
                f"The weights in {weights} are not those of {name}: {error}"
            ) from None
    return module.eval()


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """A state_dict from .safetensors, or from a file of torch.save that holds nothing but tensors."""
    try:
        if Path(path).suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle makes its reader raise anything
        reason = str(error).partition("\n")[0] or f"reading it ends with {type(error).__name__}."
        raise ModelFormatError(
            f"{path} holds no plain weights: {reason} Save them with "
            "torch.save(module.state_dict(), path) or as .safetensors; a pickled module would run "
            "whatever code is in it, and is not read."
        ) from None
    if not isinstance(state, dict):
        raise ModelFormatError(f"{path} holds a {type(state).__name__}, not a state_dict.")
    return state
