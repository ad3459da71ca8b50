"""Several jobs at once, each in a process of its own that sends back its results one by one."""

import io
import multiprocessing
import multiprocessing.connection
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from ..errors import VAEAugmentError
from ..interrupt import follow_parent

J = TypeVar("J")
R = TypeVar("R")
SECONDS_TO_END = 5.0


def in_lanes(make: Callable[[J], Iterable[R]], jobs: Sequence[J], workers: int) -> Generator[R, None, None]:
    """What `make` yields for each of `jobs`, as it comes.

    Args:
        make, jobs: of module-level functions and plain values, since they travel to other processes.
        workers: processes, of one thread each; 1 does everything here.

    Raises:
        VAEAugmentError: a worker died.
        Exception: what `make` raised, with the worker's traceback as a note.
    """
    if workers == 1:
        for job in jobs:
            yield from make(job)
        return
    waiting = iter(jobs)
    lanes = [_Lane(make, waiting) for _ in range(min(workers, len(jobs)))]
    try:
        while open_lanes := {lane.connection: lane for lane in lanes if not lane.is_done}:
            for ready in multiprocessing.connection.wait(open_lanes):
                yield from open_lanes[ready].receive()  # type: ignore[index]
    finally:
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.end()


class _Lane:
    """One process, and the jobs that it shares with the other lanes."""

    def __init__(self, make: Callable[[Any], Iterable[Any]], jobs: Iterator[Any]) -> None:
        context = multiprocessing.get_context("spawn")  # a forked child of a process with threads may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that a dead worker is seen here as the end of its messages
        self.jobs = jobs
        self.is_done = False
        self.give_next()

    def give_next(self) -> None:
        """Send the next job, or the word that there is none."""
        job = next(self.jobs, None)
        self.is_done = job is None
        self.connection.send(job)

    def receive(self) -> list[Any]:
        """One result; at the end of a job none, and the next job is on its way."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise VAEAugmentError(
                "A worker died. The system kills workers when memory runs out: use fewer (--workers). What was "
                "measured until then is kept, and the same command goes on from there."
            ) from None
        if isinstance(message, Exception):
            raise message
        if not message:
            self.give_next()
        return list(message)

    def stop(self) -> None:
        """Stop a process in the middle of a job; one that knows that there is no more ends by itself."""
        if not self.is_done:
            self.process.terminate()

    def end(self) -> None:
        """Leave no process behind."""
        self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(make: Callable[[Any], Iterable[Any]], connection: "Connection[Any, Any]") -> None:
    follow_parent()
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore too, which a process that is stopped would leave behind
    sys.stderr = io.StringIO()  # the progress bars of several processes would write over each other
    while (job := connection.recv()) is not None:
        try:
            for result in make(job):
                connection.send([result])
            connection.send([])
        except Exception as error:
            error.add_note(traceback.format_exc())
            connection.send(error)
