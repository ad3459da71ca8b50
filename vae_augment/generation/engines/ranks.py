"""The engine under torchrun: ranks that somebody else starts, each with its share of the shards."""

import os
from collections.abc import Generator, Mapping, Sequence

from ...errors import InputError
from ..plan import Share
from ..shard import Job, Record, Worker


def run_serially(job: Job, shards: Sequence[int]) -> Generator[Record, None, None]:
    """Make `shards` in this process, one after the other."""
    worker = Worker(job)
    for shard in shards:
        yield worker.make(shard)


def torchrun_share(environment: Mapping[str, str] = os.environ) -> Share:
    """The share of this rank.

    Raises:
        InputError: torchrun has not started this process.
    """
    try:
        return Share(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
    except (KeyError, ValueError):
        raise InputError(
            "RANK and WORLD_SIZE are not set, as torchrun sets them. Start with: torchrun "
            "--nproc-per-node N --no-python vae-augment generate ..., or use --engine local."
        ) from None
