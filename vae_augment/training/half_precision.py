"""Which machines are faster in half precision, and how training uses it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
    is_fast = torch.device(device).type == "cuda" or _has_amx()
    return torch.bfloat16 if is_fast else None


def _has_amx() -> bool:
    # torch before 2.11 cannot tell, and then training stays in float32.
    get_capabilities: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return bool(get_capabilities().get("amx_bf16"))


@contextmanager
def half_products(enabled: bool) -> Iterator[None]:
    """Inside, a CPU multiplies float32 matrices in bfloat16; sums and all else stay float32.

    So do products where torch (before 2.9) has no such switch.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if matmul is None:
        yield
        return
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16" if enabled else before
    try:
        yield
    finally:
        matmul.fp32_precision = before
