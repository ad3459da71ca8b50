"""Which machines are faster in half precision, and how training uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import InputError


def check_device(device: str) -> None:
    """Raise `InputError` for a device that is not here."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"device is {device!r}; choose cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA device here. Use cpu.")


def half_precision(device: str | torch.device) -> torch.dtype | None:
    """bfloat16 where matrix units make it faster (a GPU, or a CPU with AMX), else None."""
    is_fast = torch.device(device).type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16")
    return torch.bfloat16 if is_fast else None


@contextmanager
def half_products(enabled: bool) -> Iterator[None]:
    """Inside, a CPU multiplies float32 matrices in bfloat16; sums and all else stay float32."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16" if enabled else before
    try:
        yield
    finally:
        matmul.fp32_precision = before
