"""Engines that somebody else starts.

Ranks under torchrun, each of which makes its part of the shards.
"""

import os
from collections.abc import Generator, Mapping, Sequence

from ...errors import InputError
from ..shard import Job, Record, Worker


def run_serially(job: Job, shards: Sequence[int]) -> Generator[Record, None, None]:
    """Make `shards` in this process, one after the other."""
    worker = Worker(job)
    for shard in shards:
        yield worker.make(shard)


def torchrun_part(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """This rank and the number of ranks; `InputError` outside torchrun."""
    try:
        return int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise InputError(
            "RANK and WORLD_SIZE are not set, as torchrun sets them. Start with: torchrun "
            "--nproc-per-node N --no-python vae-augment generate ..., or use --engine local."
        ) from None
