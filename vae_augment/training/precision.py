"""Which machines are faster in half precision."""

import torch


def half_precision(device: str | torch.device) -> torch.dtype | None:
    """bfloat16 where matrix units make it faster, on a GPU or a CPU with AMX; None elsewhere, where it is slower."""
    fast = torch.device(device).type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16")
    return torch.bfloat16 if fast else None
