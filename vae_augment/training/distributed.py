"""Data-parallel training under torchrun: who this process is, and what the ranks do together."""

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor


@contextlib.contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the group that torchrun's environment describes (gloo on CPUs, NCCL on GPUs); alone, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """True in the one process that reports, before or after the group is joined."""
    return int(os.environ.get("RANK", "0")) == 0


def world_size() -> int:
    """How many ranks train together; 1 outside torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def agreed(signal: int | None) -> int | None:
    """The signal that any rank has received, so that all stop at the same step and none waits for the others."""
    if world_size() == 1:
        return signal
    found = torch.tensor(signal or 0)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found) or None


def total(values: Tensor) -> Tensor:
    """The sum of `values` over all ranks, on each of them."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values
