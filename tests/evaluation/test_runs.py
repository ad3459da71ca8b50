"""Running repetitions, in this process and in others."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vae_augment.errors import InputError, VAEAugmentError
from vae_augment.evaluation.classifier import Batch
from vae_augment.evaluation.methods import Method
from vae_augment.evaluation.repetition import Repetition
from vae_augment.evaluation.runs import Experiment, run_method, run_repetitions
from vae_augment.evaluation.splits import LoadedImages, Source
from vae_augment.training import ImageData

DIGITS = Source("digits")
METHODS = (Method("none"), Method("again"))


@dataclass(frozen=True)
class NoSource:
    def load(self) -> None:
        return None


@dataclass(frozen=True)
class Waiting:
    """An experiment of two runs, of which the second begins when the first has been noticed."""

    noticed: Path
    source: NoSource = NoSource()

    def runs(self, images: None, seed: int) -> Iterator[str]:
        yield "first"
        deadline = time.monotonic() + 60
        while not self.noticed.exists():
            assert time.monotonic() < deadline, "the first run was not reported"
            time.sleep(0.05)
        yield "second"


def run_waiting(noticed: Path, seeds: range, workers: int) -> Iterator[Any]:
    return run_repetitions(Waiting(noticed), None, seeds, workers)  # type: ignore[arg-type]


def test_a_run_says_what_was_trained(digits: ImageData) -> None:
    small = digits.subset(slice(50))  # type: ignore[arg-type]
    run = run_method(Method("none"), Repetition(small, small, seed=3, updates=1))
    assert (run.method, run.trained_on, run.seed, run.has_vae) == ("none", "none", 3, False)
    assert run.accuracy == pytest.approx(100 * run.correct.mean())
    assert set(run.facts()) == {"method", "trained_on", "seed", "accuracy", "seconds"}


@pytest.mark.parametrize(
    "seeds", [range(1), pytest.param(range(3), marks=pytest.mark.slow)], ids=["one", "two"]
)
def test_worker_processes_find_what_this_one_finds(seeds: range) -> None:
    experiment = Experiment(DIGITS, METHODS, labels_per_class=5, updates=2)
    images = DIGITS.load()
    here = [*run_repetitions(experiment, images, seeds, workers=1)]
    there = [*run_repetitions(experiment, images, seeds, workers=2)]
    assert [(run.seed, run.method) for run in here] == [
        (seed, method.name) for seed in seeds for method in METHODS
    ]
    found = {(run.seed, run.method): run.accuracy for run in there}
    expected = {(run.seed, run.method): run.accuracy for run in here}
    assert found == pytest.approx(expected, abs=1.0)


@pytest.mark.slow
def test_worker_processes_report_each_run_at_once(tmp_path: Path) -> None:
    found = []
    many = 10**12  # of which no more are started than there are repetitions
    for done in run_waiting(tmp_path / "noticed", range(1), workers=many):
        found.append(done)
        (tmp_path / "noticed").touch()
    assert found == ["first", "second"]


@pytest.mark.slow
def test_workers_leave_ctrl_c_to_their_parent_and_end_with_it(tmp_path: Path) -> None:
    found = run_waiting(tmp_path / "never noticed", range(1), workers=2)
    has_started = threading.Event()

    def interrupt_children() -> None:
        while not has_started.wait(0.01):  # from the first moment of their start
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGINT)

    terminal = threading.Thread(target=interrupt_children)
    terminal.start()
    try:
        assert next(found) == "first"
    finally:
        has_started.set()
        terminal.join()
    start = time.monotonic()
    found.close()  # type: ignore[attr-defined]  # as Ctrl-C does
    assert time.monotonic() - start < 5
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_in_the_middle_of_starting_the_workers_comes_after_it(
    number: signal.Signals, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = []
    submit = ProcessPoolExecutor.submit

    def interrupt() -> None:
        # In a thread, because the system gives a signal to any thread that does not block it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.raise_signal(number)

    def submit_interrupted(*arguments: Any) -> Any:
        submitted.append(submit(*arguments))
        if len(submitted) == 1:
            terminal = threading.Thread(target=interrupt)
            terminal.start()
            terminal.join()
        return submitted[-1]

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_interrupted)
    found = run_waiting(Path("never noticed"), range(2), workers=2)
    with pytest.raises(raised):
        next(found)
    assert len(submitted) == 2
    assert not multiprocessing.active_children()


def broken(repetition: Repetition) -> Batch:
    raise InputError(f"repetition {repetition.seed} is broken")


def deadly(repetition: Repetition) -> Batch:
    os.kill(os.getpid(), signal.SIGKILL)
    return repetition.labelled_batch()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (broken, InputError, "repetition 0 is broken"),
        (deadly, VAEAugmentError, "A worker died"),
    ],
)
def test_what_happens_to_a_worker_is_raised_here(
    images: Any, error: type[Exception], message: str
) -> None:
    experiment = Experiment(DIGITS, (Method("a", images=images),))
    with pytest.raises(error, match=message):
        next(run_repetitions(experiment, LoadedImages(*[None] * 2), [0], workers=2))  # type: ignore[arg-type]
