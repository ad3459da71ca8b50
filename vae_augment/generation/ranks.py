"""Engines that somebody else starts: ranks under torchrun, each of which takes its share of the shards."""

import os
from collections.abc import Iterator, Mapping, Sequence

from ..errors import InputError
from .shard import Job, Record, Worker


def here(job: Job, shards: Sequence[int]) -> Iterator[Record]:
    """Make `shards` in this process, one after the other."""
    worker = Worker(job)
    for shard in shards:
        yield worker.make(shard)


def is_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """True in a process that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in environment


def torchrun_part(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """This rank and the number of ranks; `InputError` outside torchrun."""
    try:
        return int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise InputError(
            "RANK and WORLD_SIZE are not set, as torchrun sets them. Start with: torchrun --nproc-per-node N -m "
            "vae_augment.cli generate ..., or use --engine local."
        ) from None
