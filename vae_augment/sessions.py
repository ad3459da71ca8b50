"""onnxruntime's sessions and providers. The only user of onnxruntime; torch is imported only where it is asked."""

import functools
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, ModelFormatError, ProviderError

if TYPE_CHECKING:
    import onnxruntime
    import torch

Provider = str | Sequence[str | tuple[str, dict[str, Any]]]
_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_CPU, _CUDA = _NAMES["cpu"], _NAMES["cuda"]
_is_forked_child = False


def _remember_fork() -> None:
    global _is_forked_child
    _is_forked_child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)


def provider_name(providers: list[Any]) -> str:
    """The short name of the first provider: "cpu", "cuda", or onnxruntime's own for another."""
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    return {name: short for short, name in _NAMES.items()}.get(first, first)


def resolve_providers(provider: Provider) -> list[Any]:
    """onnxruntime's provider list for what the user asked for; `ProviderError` for one that is not there."""
    available = _import_onnxruntime().get_available_providers()
    if provider == "auto":
        return [_CUDA, _CPU] if _CUDA in available and _torch().cuda.is_available() else [_CPU]
    if isinstance(provider, str):
        if provider not in _NAMES:
            raise InputError(f"provider is {provider!r}; use 'auto', 'cpu', 'cuda' or a list in onnxruntime's form.")
        provider = [_NAMES[provider]]
    for entry in provider:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise ProviderError(
                f"{name} was asked for, but this onnxruntime has only {', '.join(available)}. For CUDA: pip uninstall "
                "onnxruntime, then pip install 'vae-augment[gpu]'. To run anyway: provider='cpu'."
            )
    # onnxruntime takes tuples only, JSON gives lists
    return [entry if isinstance(entry, str) else tuple(entry) for entry in provider]


def open_session(
    content: bytes, providers: list[Any], threads: int | None, *, strict: bool
) -> "onnxruntime.InferenceSession":
    """A session with the settings that a DataLoader needs; in a worker it has one thread whatever is asked."""
    onnxruntime = _import_onnxruntime()
    wants_cuda = provider_name(providers) == "cuda"
    if wants_cuda and _is_forked_child:
        if strict:
            raise ProviderError(
                "CUDA was asked for in a forked worker, where it cannot start. Pass multiprocessing_context='spawn' to "
                "the DataLoader, or provider='cpu' here, or augment batches after the loader."
            )
        providers = [_CPU]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if _is_loader_worker() else threads or _torch().get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in _spinning(options.intra_op_num_threads, runtime_version()).items():
        options.add_session_config_entry(key, value)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:
        raise ModelFormatError(f"onnxruntime cannot open the model: {error}") from None
    if strict and wants_cuda and session.get_providers()[0] != _CUDA:
        raise ProviderError(
            "CUDA was asked for, but onnxruntime could not load it and fell back to the CPU. Its CUDA and cuDNN must "
            "match those of torch; see the log above. To run anyway: provider='cpu'."
        )
    return session


def _spinning(threads: int, version: str) -> dict[str, str]:
    # A pool that spins as long as it likes burns most of a core between calls (reference: onnxruntime issue 26847). A
    # short spin bridges the gaps between the nodes of one run, but versions before 1.26 cannot limit it.
    major, minor = (int(part) for part in version.split(".")[:2])
    if threads == 1 or (major, minor) < (1, 26):
        return {"session.intra_op.allow_spinning": "0"}
    return {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "50"}


def reaches(session: "onnxruntime.InferenceSession", device: "torch.device") -> bool:
    """Whether the session runs on this very CUDA device, so that tensors there need not travel."""
    options = session.get_provider_options().get(_CUDA, {}) if device.type == "cuda" else {}
    return "device_id" in options and int(options["device_id"]) == device.index


def run_bound(
    session: "onnxruntime.InferenceSession", inputs: "dict[str, torch.Tensor]", outputs: "dict[str, torch.Tensor]"
) -> None:
    """Run on the tensors' own memory: all contiguous, on one device, and the outputs of the shapes that will come.

    onnxruntime works on a stream of its own, which knows nothing of what torch's has still to do: hence the waiting.
    """
    binding = session.io_binding()
    for bind, tensors in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
        for name, tensor in tensors.items():
            kind = getattr(np, str(tensor.dtype).removeprefix("torch."))
            bind(name, tensor.device.type, tensor.device.index or 0, kind, tuple(tensor.shape), tensor.data_ptr())
    device = next(iter(inputs.values())).device
    if device.type == "cuda":
        _torch().cuda.current_stream(device).synchronize()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()


def runtime_version() -> str:
    """The version of onnxruntime."""
    return str(_import_onnxruntime().__version__)


def _torch() -> Any:
    import torch

    return torch


def _is_loader_worker() -> bool:
    data = sys.modules.get("torch.utils.data")  # a DataLoader's worker has it, whoever else may not
    return data is not None and data.get_worker_info() is not None


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported ({error}). Install it with: pip install 'vae-augment[cpu]', "
            "or 'vae-augment[gpu]' for CUDA."
        ) from None
    _warn_of_both()
    return onnxruntime


@functools.cache
def _warn_of_both() -> None:
    if _is_installed("onnxruntime") and _is_installed("onnxruntime-gpu"):
        warnings.warn(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other. Keep one: pip uninstall "
            "onnxruntime onnxruntime-gpu, then pip install the one you want again.",
            stacklevel=2,
        )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
