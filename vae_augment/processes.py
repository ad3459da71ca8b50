"""Ctrl-C and SIGTERM take effect between two steps, not in the middle of one."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Interruptible:
    """A context in which the first SIGINT or SIGTERM only sets `requested`.

    The second acts as it did before. Outside the main thread it does nothing, because Python runs
    signal handlers only there.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM."""
        if self.requested == signal.SIGINT:
            raise KeyboardInterrupt
        if self.requested == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            # The handlers stay, because the next signal may already be on its way to them.
            self.requested = number
        else:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}


def submit(pool: ProcessPoolExecutor, function: Callable[..., T], *arguments: object) -> Future[T]:
    """Hand a call to a pool whose workers start with `follow_parent`.

    Raises:
        BrokenProcessPool: a worker died.
    """
    try:
        with _children_deaf():
            return pool.submit(function, *arguments)
    except (ValueError, OSError) as error:
        # A worker died just now, and with it the pipes that a new worker takes or that wake the
        # pool's thread.
        raise BrokenProcessPool from error


@contextlib.contextmanager
def _children_deaf() -> Iterator[None]:
    """Processes started in this context notice no Ctrl-C and no SIGTERM until `follow_parent`."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # A child starts with what is blocked here, and its imports still run then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_children(others: Set[BaseProcess]) -> None:
    """End all child processes but `others`, also one that waits for a lock that a dead one held."""
    for child in set(multiprocessing.active_children()) - others:
        child.kill()


def follow_parent() -> None:
    """In a child process, leave Ctrl-C and SIGTERM to the parent, and end when the parent ends."""
    # A terminal sends Ctrl-C to every process of the group, and a scheduler SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # Nothing else would end a worker whose parent was killed.
    os._exit(1)


def default_workers() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
