"""Rows of a batch, picked and put back, and a change added to images.

On the CPU the arithmetic is NumPy's, for the reason that `model.pixels` gives.
"""

import torch
from torch import Tensor


def pick(rows: Tensor, mask: Tensor) -> Tensor:
    """rows[mask], where the mask [B] is on the CPU."""
    if rows.device.type != "cpu":
        return rows[mask.to(rows.device)]
    return torch.from_numpy(rows.numpy()[mask.numpy()])


def put(rows: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
    """A contiguous copy of `rows` with rows[mask] = chosen, where the mask [B] is on the CPU."""
    if rows.device.type != "cpu" or rows.dtype is torch.bfloat16:  # NumPy has no bfloat16
        copy_there = rows.clone(memory_format=torch.contiguous_format)
        return copy_there.index_put_((mask.to(rows.device),), chosen)
    copy = rows.numpy().copy(order="C")
    copy[mask.numpy()] = chosen.numpy()
    return torch.from_numpy(copy)


def add_change(batch: Tensor, after: Tensor, before: Tensor) -> Tensor:
    """batch + (after - before), clipped to [0, 1]."""
    if batch.device.type != "cpu":
        return (batch + (after - before)).clamp_(0, 1)
    changed = after.numpy() - before.numpy()
    changed += batch.numpy()
    return torch.from_numpy(changed.clip(0, 1, out=changed))
