"""Make what a plan says, on whichever engine."""

import contextlib
import functools
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GenerationError, InputError, VAEAugmentError
from ..interrupt import Interruptible
from ..modelfile import find_model, read_model
from ..sampling import Labels
from .folder import MANIFEST, Manifest, finish, pending, prepare
from .plan import make_plan
from .process_engine import default_workers, in_pool
from .shard import Job, Record

if TYPE_CHECKING:
    from ..runtime import VAEModel

Engine = Callable[[Job, Sequence[int]], Generator[Record, None, None]]


def generate(
    model: "str | os.PathLike[str] | VAEModel",
    n: int,
    output: str | os.PathLike[str],
    *,
    format: str = "npz",  # noqa: A002
    labels: Labels = "balanced",
    seed: int = 0,
    shard_size: int | None = None,
    workers: int | None = None,
) -> Manifest:
    """Write n generated images to a folder, in shards. The same call goes on with a run that was stopped or killed.

    Image i is image i of `VAESyntheticDataset` with the same model, labels and seed, as uint8. The decoder runs on the
    CPU, one thread a worker. In a script, call it under ``if __name__ == "__main__":``, as all that starts processes.

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`, whose file is used.
        n: how many images.
        output: the folder; it gets plan.json first and manifest.json, with a sha256 a shard, last.
        format: "npz", "idx", "imagefolder", "parquet" or "webdataset".
        labels, seed: as for `VAESyntheticDataset`.
        shard_size: images a shard; None = about 40 MiB of pixels, 10,240 images of MNIST's size.
        workers: processes; None = one a core.

    Raises:
        InputError: a plan that cannot be carried out. Nothing was written.
        OutputExistsError: the folder belongs to another plan.
        GenerationError: the folder cannot be written, or workers died again and again.
        KeyboardInterrupt, SystemExit(143): after SIGINT or SIGTERM, once the shards in hand are finished.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    job = make_job(model, n, output, format=format, labels=labels, seed=seed, shard_size=shard_size)
    manifest = run(job, functools.partial(in_pool, workers=workers or default_workers()))
    assert manifest is not None  # all parts are ours
    return manifest


def make_job(
    model: "str | os.PathLike[str] | VAEModel",
    n: int,
    output: str | os.PathLike[str],
    *,
    format: str,  # noqa: A002
    labels: Labels,
    seed: int,
    shard_size: int | None,
) -> Job:
    """Check the arguments of `generate` and turn them into a job. Nothing is written."""
    if isinstance(model, str | os.PathLike):
        file = read_model(find_model(model))
    else:
        file = read_model(model.path, sha256=model.sha256, allow_ops=model.allow_ops)
    plan = make_plan(file, n, format=format, labels=labels, seed=seed, shard_size=shard_size)
    return Job(plan, file.path.absolute(), Path(output).absolute(), getattr(model, "allow_ops", ()))


def run(
    job: Job,
    engine: Engine,
    part: tuple[int, int] = (0, 1),
    report: Callable[[int], None] | None = None,
) -> Manifest | None:
    """Make what is missing of part i of n, given as (i, n), on an engine.

    Args:
        report: called with the number of images of this part that are done: at once, and after every shard.

    Returns:
        The manifest, or None while other parts are at work.
    """
    with _clear_errors(job):
        prepare(job)
        todo = pending(job, part)
        if todo:
            (job.output / MANIFEST).unlink(missing_ok=True)
        _make(job, engine, todo, _Progress(job, part, todo, report))
        return finish(job)


class _Progress:
    def __init__(self, job: Job, part: tuple[int, int], todo: Sequence[int], report: Callable[[int], None] | None):
        self._report = report or (lambda done: None)
        self._done = images_of(job, part) - sum(len(job.plan.span(shard)) for shard in todo)
        self._report(self._done)

    def add(self, images: int) -> None:
        self._done += images
        self._report(self._done)


def images_of(job: Job, part: tuple[int, int]) -> int:
    """How many images part i of n has."""
    return sum(len(job.plan.span(shard)) for shard in range(part[0], job.plan.shards, part[1]))


def _make(job: Job, engine: Engine, todo: Sequence[int], progress: _Progress) -> None:
    with Interruptible() as interrupt, contextlib.closing(engine(job, todo)) as records:
        for record in records:
            progress.add(record.images)
            interrupt.raise_if_requested()


@contextlib.contextmanager
def _clear_errors(job: Job) -> Iterator[None]:
    try:
        yield
    except VAEAugmentError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise GenerationError(
            f"{job.output} cannot be written: {reason}. Finished shards stay, and there is no half of one. Put that "
            "right, and the same command goes on."
        ) from error
