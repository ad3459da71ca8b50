"""Data-parallel training under torchrun: which rank this is, and what the ranks do together."""

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor


@contextlib.contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the process group that torchrun describes in the environment; without one do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # `agreed` reduces a tensor on the CPU, which NCCL cannot, so GPU training needs both.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """How many ranks train together; 1 outside torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this rank, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def agreed(signal: int | None) -> int | None:
    """The signal that any rank has received, so that all ranks stop at the same step."""
    return int(total(torch.tensor(signal or 0), dist.ReduceOp.MAX)) or None


def wait_for_all() -> None:
    """Return when every rank has come here."""
    if world_size() > 1:
        dist.barrier()


def total(values: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
    """`values` summed over all ranks, or reduced by another operation, in every rank."""
    if world_size() > 1:
        dist.all_reduce(values, operation)
    return values
