"""The cluster engine: Ray Data, whose actors make shards and send back nothing but records.

The shards are written by the same function as everywhere, because Ray's own writers use random
names, append on a second run, and are not atomic.
"""

import contextlib
import json
import logging
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ...errors import GenerationError, InputError, VAEAugmentError
from ..shard import Job, Record, Worker

MOST_BLOCKS = 4096  # of rows; with more shards than this, several share a block
# Prefixes of the names of Ray Data's threads.
THREADS = ("StreamingExecutor", "iter_threaded", "map_tp_", "ray-data")
SECONDS_FOR_THREADS = 10.0  # to wait for them


class ShardActor:
    """What runs in an actor: a `Worker` between rows of Ray Data."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Numbers of shards -> their records as JSON, or the errors that prevented them."""
        return {"outcome": [json.dumps(self._outcome(int(shard))) for shard in batch["shard"]]}

    def _outcome(self, shard: int) -> dict[str, Any]:
        # Ray would wrap an error or drop the row, so an error that a retry cannot mend is sent back
        # as data.
        try:
            return {"record": asdict(self._worker.make(shard))}
        except (VAEAugmentError, OSError) as error:
            return {"error": str(error)}


def in_ray(
    job: Job, shards: Sequence[int], workers: int | None, address: str | None
) -> Generator[Record, None, None]:
    """Make `shards` in a pool of Ray actors, on a cluster or on this machine.

    Ray restarts a dead actor and gives it its shard again. The output folder and the model file
    must have the same path on every node.

    Args:
        job: what to make.
        shards: the numbers of the shards.
        workers: the largest number of actors; None = one per CPU of the cluster.
        address: of a cluster, as for `ray.init`; None = RAY_ADDRESS, a cluster that runs here, or a
            new Ray.
    """
    if not shards:
        return
    with _connected(address), _threads_ended():
        yield from _records(job, shards, workers)


def _records(job: Job, shards: Sequence[int], workers: int | None) -> Generator[Record, None, None]:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    # from_items and not range: it needs no reading task, which would wait for ever for a CPU that
    # the actors hold.
    rows = [{"shard": shard} for shard in shards]
    items = ray.data.from_items(rows, override_num_blocks=min(len(shards), MOST_BLOCKS))
    actors = ray.data.ActorPoolStrategy(min_size=1, max_size=most)
    made = items.map_batches(
        ShardActor, fn_constructor_args=(job,), batch_size=1, compute=actors, num_cpus=1
    )
    # A prefetcher would not be stopped.
    for block in made.iter_batches(batch_size=None, prefetch_batches=0):
        for outcome in map(json.loads, block["outcome"]):
            if "error" in outcome:
                raise GenerationError(
                    f"A worker of Ray could not make its shard. {outcome['error']}"
                )
            yield Record(**outcome["record"])


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed: pip install 'ray[data]'") from None
    if ray.is_initialized():  # by the caller, so it is left open
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # ray.init replaces it
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _threads_ended() -> Iterator[None]:
    """Wait for the threads that Ray Data starts inside.

    Ray Data does not wait for them when its rows are not read to the end, after an error or Ctrl-C.
    A thread that asks Ray for a block after ray.shutdown starts another Ray, whose core ends this
    process without a message as soon as one of its servers is missing.
    """
    before = set(threading.enumerate())
    try:
        yield
    finally:
        deadline = time.monotonic() + SECONDS_FOR_THREADS
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith(THREADS):
                thread.join(max(0.0, deadline - time.monotonic()))
