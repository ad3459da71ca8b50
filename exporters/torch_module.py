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
from .foreign import WRAPPERS, ForeignVAE


def from_module(module: nn.Module) -> ForeignVAE:
    """Adapt a module in evaluation mode that has encode and decode."""
    module = _unwrapped(module)
    name = type(module).__name__
    for path, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            raise ExportError(
                f"{path or name} is compiled by TorchScript, which cannot be followed. Use the "
                "nn.Module that it was made from: module.load_state_dict(compiled.state_dict())."
            )
    vae: Any = module  # the two methods are not in the type of nn.Module
    if not callable(getattr(vae, "encode", None)) or not callable(getattr(vae, "decode", None)):
        raise ExportError(
            f"{name} lacks encode or decode. Give a module with encode(x) -> (mean, logvar) and "
            f"decode(z); a short subclass can add them: {WRAPPERS}"
        )
    training = [path or name for path, layer in module.named_modules() if layer.training]
    if training:
        raise ExportError(
            f"The module is in training mode ({', '.join(training[:3])}): dropout and batch "
            "statistics would go into the file. Call module.eval() first."
        )
    _check_weights(module)
    return ForeignVAE(f"torch module {name}", module, vae.encode, vae.decode)


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module inside of DataParallel, DistributedDataParallel or torch.compile."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return module.module
    original = getattr(module, "_orig_mod", None)
    return original if isinstance(original, nn.Module) else module


def _check_weights(module: nn.Module) -> None:
    for name, weight in (*module.named_parameters(), *module.named_buffers()):
        if weight.device.type != "cpu":
            raise ExportError(
                f"{name} is on the device {weight.device}. Call module.cpu() before the export."
            )
        if weight.is_floating_point() and weight.dtype != torch.float32:
            raise ExportError(
                f"{name} is of {weight.dtype}; a file computes in float32. Call module.float() "
                "before the export, or load the weights into float32."
            )


def load_module(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    """Build "package.module:Class" without arguments, in evaluation mode, with weights from a file.

    Args:
        name: where the class, or a function that returns a module, is; the working directory is
            searched too.
        weights: .safetensors, or a state_dict saved by torch.save, read without running any code in
            it.

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
    """A state_dict from .safetensors, or from a file of torch.save with nothing but tensors."""
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
