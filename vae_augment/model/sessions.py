"""onnxruntime's sessions, providers and errors; nothing else uses onnxruntime.

torch is imported only where it is needed.
"""

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, ModelFormatError, ProviderError, VAEAugmentError
from ..processes import Interruptible

if TYPE_CHECKING:
    import torch
    from onnxruntime import InferenceSession

    Tensors = Mapping[str, torch.Tensor]
    Shapes = Mapping[str, tuple[int, ...]]

Provider = str | Sequence[str | tuple[str, dict[str, Any]]]
_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_CPU = _NAMES["cpu"]
_CUDA = _NAMES["cuda"]
_ALLOCATION_FAILURES = (
    "bad_alloc",
    "bad allocation",
    "allocate memory",
    "out of memory",
    "ALLOC_FAILED",
)
_IMPORTING_PROCESS = os.getpid()  # a forked child has another number


def provider_name(providers: list[Any]) -> str:
    """The short name of the first provider: "cpu", "cuda", or onnxruntime's own for another."""
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    return {name: short for short, name in _NAMES.items()}.get(first, first)


def resolve_providers(provider: Provider) -> list[Any]:
    """onnxruntime's provider list for what the user asked for.

    `ProviderError` when it is not installed.
    """
    available = _import_onnxruntime().get_available_providers()
    if provider == "auto":
        return (
            [_CUDA, _CPU]
            if _CUDA in available and import_module("torch").cuda.is_available()
            else [_CPU]
        )
    if isinstance(provider, str):
        if provider not in _NAMES:
            raise InputError(
                f"provider is {provider!r}; use 'auto', 'cpu', 'cuda' or a list in onnxruntime's "
                "form."
            )
        provider = [_NAMES[provider]]
    for entry in provider:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise ProviderError(
                f"{name} was asked for, but this onnxruntime has only {', '.join(available)}. For "
                "CUDA: pip uninstall onnxruntime, then pip install onnxruntime-gpu. To run "
                "anyway: provider='cpu'."
            )
    # onnxruntime takes tuples only, JSON gives lists
    return [entry if isinstance(entry, str) else tuple(entry) for entry in provider]


def open_session(
    content: bytes, providers: list[Any], threads: int | None, *, strict: bool
) -> "InferenceSession":
    """Open a session on the bytes of an .onnx file, with one thread in a DataLoader's worker.

    Args:
        content: the bytes.
        providers: those of `resolve_providers`.
        threads: elsewhere than in a worker; None = as many as torch uses.
        strict: where CUDA is among `providers` but cannot be used, raise `ProviderError` instead of
            using the CPU.
    """
    onnxruntime = _import_onnxruntime()
    # NumPy measures a type once, and before 2.4 warns where denormals are 0.
    for kind in (np.float32, np.float64):
        np.finfo(kind)
    wants_cuda = provider_name(providers) == "cuda"
    if wants_cuda and os.getpid() != _IMPORTING_PROCESS:
        if strict:
            raise ProviderError(
                "CUDA was asked for in a forked worker, where it cannot start. Pass "
                "multiprocessing_context='spawn' to the DataLoader, or provider='cpu' here, or "
                "augment batches after the loader."
            )
        providers = [_CPU]
    options = onnxruntime.SessionOptions()
    data = sys.modules.get("torch.utils.data")  # always imported in a DataLoader's worker
    is_worker = data is not None and data.get_worker_info() is not None
    options.intra_op_num_threads = (
        1 if is_worker else threads or import_module("torch").get_num_threads()
    )
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would log, it also raises
    for key, value in _spinning(options.intra_op_num_threads, runtime_version()).items():
        options.add_session_config_entry(key, value)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # For its own threads; ours are below
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    with TranslatedErrors("onnxruntime cannot open the model"), _DenormalsAsZero():
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    if strict and wants_cuda and session.get_providers()[0] != _CUDA:
        raise ProviderError(
            "CUDA was asked for, but onnxruntime could not load it and fell back to the CPU. Its "
            "CUDA and cuDNN must match those of torch; see the log above. To run anyway: "
            "provider='cpu'."
        )
    return session


def _spinning(threads: int, version: str) -> dict[str, str]:
    # A pool that spins without limit burns most of a core between calls (onnxruntime issue 26847).
    # A short spin bridges the gaps between the nodes of one run, but versions before 1.26 cannot
    # limit it.
    major, minor = (int(part) for part in version.split(".")[:2])
    if threads == 1 or (major, minor) < (1, 26):
        return {"session.intra_op.allow_spinning": "0"}
    return {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "50"}


class TranslatedErrors:
    """Inside `with`, turn onnxruntime's own exceptions into ours.

    Others, such as those of signal handlers, pass as they are.

    Raises:
        VAEAugmentError: an allocation failed.
        ModelFormatError: any other failure; the message starts with `failure`.
    """

    # A class, because contextlib's way through a generator takes longer on each run.

    def __init__(self, failure: str) -> None:
        self.failure = failure

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            return
        # Its classes share no base class.
        is_from_onnxruntime = type(error).__module__.startswith("onnxruntime.")
        is_out_of_memory = isinstance(error, MemoryError)
        if is_from_onnxruntime:
            is_out_of_memory = any(words in str(error) for words in _ALLOCATION_FAILURES)
        if is_out_of_memory:
            raise VAEAugmentError(
                f"onnxruntime ran out of memory: {error}. Use smaller batches or fewer DataLoader "
                "workers."
            ) from None
        if is_from_onnxruntime:
            raise ModelFormatError(f"{self.failure}: {error}") from None


def run_session(
    session: "InferenceSession", inputs: "Tensors", shapes: "Shapes"
) -> "list[torch.Tensor]":
    """The outputs of one run, as float32 on the first input's device.

    `shapes` has the shape of one row of each output.
    """
    import torch

    first = next(iter(inputs.values()))
    if first.is_cuda and _is_on_device(session, first.device) and len(first) > 0:
        return _run_bound(session, inputs, shapes)
    there = {name: tensor if tensor.is_cpu else tensor.cpu() for name, tensor in inputs.items()}
    given = {name: tensor.numpy() for name, tensor in there.items()}
    with _DenormalsAsZero():
        outputs = session.run(list(shapes), given)
    results = [torch.from_numpy(output) for output in outputs]
    if first.is_cpu:
        return results
    return [result.to(first.device) for result in results]


class _DenormalsAsZero:
    """Treat numbers below 1e-38, which are up to a hundred times slower, as 0 in this thread.

    At the end it is as it was before.
    """

    def __enter__(self) -> None:
        smallest = 5e-324
        self.was_set = smallest * 1.0 == 0
        # In a process without torch, which only generates, onnxruntime's option does it, and
        # nothing else minds.
        self.set = getattr(sys.modules.get("torch"), "set_flush_denormal", lambda is_on: None)
        self.set(True)

    def __exit__(self, *error: object) -> None:
        self.set(self.was_set)


def _is_on_device(session: "InferenceSession", device: "torch.device") -> bool:
    options = session.get_provider_options().get(_CUDA, {}) if device.type == "cuda" else {}
    return "device_id" in options and int(options["device_id"]) == device.index


def _run_bound(
    session: "InferenceSession", inputs: "Tensors", shapes: "Shapes"
) -> "list[torch.Tensor]":
    """Run on the tensors' own memory, without copies."""
    import torch

    first = next(iter(inputs.values()))
    device = first.device
    there = {name: tensor.to(device).contiguous() for name, tensor in inputs.items()}
    outputs = {
        name: torch.empty(len(first), *row, device=device, dtype=torch.float32)
        for name, row in shapes.items()
    }
    binding = session.io_binding()
    for bind, tensors in ((binding.bind_input, there), (binding.bind_output, outputs)):
        for name, tensor in tensors.items():
            kind = getattr(np, str(tensor.dtype).removeprefix("torch."))
            bind(name, device.type, device.index or 0, kind, tuple(tensor.shape), tensor.data_ptr())
    if device.type == "cuda":
        # onnxruntime works on a stream of its own, which does not wait for torch's.
        torch.cuda.current_stream(device).synchronize()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return list(outputs.values())


def runtime_version() -> str:
    """The version of onnxruntime."""
    return str(_import_onnxruntime().__version__)


def _import_onnxruntime() -> Any:
    # Ctrl-C in the middle of its import would come out as an ImportError. Later calls leave the
    # handlers alone.
    interrupt = Interruptible()
    # From 1.29 on it tells Microsoft the name and the hash of each model, unless this is set first.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        with contextlib.nullcontext() if "onnxruntime" in sys.modules else interrupt:
            import onnxruntime
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported ({error}). Install it: pip install onnxruntime, or "
            "onnxruntime-gpu for CUDA."
        ) from None
    interrupt.raise_if_requested()
    _warn_of_both()
    return onnxruntime


@functools.cache
def _warn_of_both() -> None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        for name in ("onnxruntime", "onnxruntime-gpu"):
            metadata.version(name)
        warnings.warn(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other. Keep "
            "one: pip uninstall onnxruntime onnxruntime-gpu, then pip install the one you want "
            "again.",
            stacklevel=2,
        )
