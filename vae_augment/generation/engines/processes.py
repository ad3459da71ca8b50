"""The local engine: a pool of processes, each with one thread and a decoder of its own."""

import contextlib
import itertools
import multiprocessing
import pickle
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ...errors import GenerationError
from ...processes import default_workers, follow_parent, kill_children, submit
from ..shard import Job, Record, Worker

MOST_DEATHS = 3  # in a row without a finished shard between them

_worker: Worker  # set in each process of the pool


def in_pool(job: Job, shards: Sequence[int], workers: int | None) -> Generator[Record, None, None]:
    """Make `shards` in `workers` processes, None = one per core; yield records as they are done.

    When a worker dies, its whole pool ends; a new pool then goes on with what is left, unless that
    happens again and again.
    """
    left = dict.fromkeys(shards)
    deaths = 0
    while left:
        try:
            for record in _one_pool(job, list(left), workers or default_workers()):
                del left[record.shard]
                deaths = 0
                yield record
        except BrokenProcessPool:
            deaths += 1
            if deaths > MOST_DEATHS:
                raise GenerationError(
                    f"Workers died {deaths} times in a row with {len(left)} shards to go. The "
                    "system kills them when memory runs out: use fewer workers or smaller shards. "
                    "In a script, call generate under `if __name__ == '__main__':`."
                ) from None


def _one_pool(job: Job, shards: Sequence[int], workers: int) -> Generator[Record, None, None]:
    with _written(job) as path:
        yield from _make_all(path, shards, workers)


@contextlib.contextmanager
def _written(job: Job) -> Iterator[Path]:
    """A file with the job.

    Python hands a new process its arguments through a pipe, which holds 64 KiB, and waits for ever
    when that process dies before it has read them.
    """
    job.staging.mkdir(exist_ok=True)
    # Another run of the plan, which has made the last shard, may have removed the folder.
    with tempfile.TemporaryDirectory(dir=job.staging, ignore_cleanup_errors=True) as folder:
        path = Path(folder, "job")
        path.write_bytes(pickle.dumps(job))
        yield path


def _make_all(job: Path, shards: Sequence[int], workers: int) -> Generator[Record, None, None]:
    # A forked child of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, _start_worker, (job,))
    try:
        waiting = iter(shards)
        running = set[Future[Record]]()
        while True:
            # One more than can run, so that no worker has to wait for its next shard.
            for shard in itertools.islice(waiting, workers + 1 - len(running)):
                running.add(submit(pool, _make, shard))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        kill_children(others)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(job: Path) -> None:
    global _worker
    _worker = Worker(pickle.loads(job.read_bytes()))
    follow_parent()


def _make(shard: int) -> Record:
    return _worker.make(shard)
