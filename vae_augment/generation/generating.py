"""Make what a plan says, on whichever engine."""

import contextlib
import functools
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GenerationError, InputError, VAEAugmentError
from ..model.file import ModelFile, find_model, read_model
from ..model.sampling import Labels
from ..processes import Interruptible
from .engines.processes import in_pool
from .folder import MANIFEST, Manifest, finish, finished, prepare
from .plan import ALL_SHARDS, Share, make_plan
from .shard import Job, Record

if TYPE_CHECKING:
    from torch import Tensor

    from ..model.vae_model import VAEModel

Engine = Callable[[Job, Sequence[int]], Generator[Record, None, None]]


def generate(
    model: "str | os.PathLike[str] | VAEModel",
    n: int,
    output: str | os.PathLike[str],
    *,
    format: str = "npz",  # noqa: A002
    labels: "Labels | Tensor" = "balanced",
    images: "Tensor | None" = None,
    seed: int = 0,
    shard_size: int | None = None,
    workers: int | None = None,
) -> Manifest:
    """Write n generated images to a folder, in shards.

    The same call goes on with a run that was stopped or killed.

    Image i is image i of `VAESyntheticDataset` with the same model, labels and seed, as uint8. The
    decoder runs on the CPU, one thread per worker. In a script, call it under ``if __name__ ==
    "__main__":``, as it starts processes.

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`, whose file is used.
        n: how many images.
        output: a folder that is new, empty or from an earlier call. manifest.json, with sha256
            sums, is written last.
        format: "npz", "idx", "imagefolder", "parquet" or "webdataset".
        labels, images, seed: as for `VAESyntheticDataset`. A model conditioned on an image redraws
            `images`.
        shard_size: images per shard, for at most 1,000,000 shards; None = about 40 MiB of pixels.
        workers: processes; None = one per core.

    Returns:
        The manifest of the finished folder.

    Raises:
        InputError: a plan that cannot be carried out. Nothing was written.
        OutputExistsError: the folder belongs to another plan, or holds other files.
        GenerationError: the folder cannot be written, or workers died again and again.
        KeyboardInterrupt, SystemExit(143): after SIGINT or SIGTERM, once the shards in hand are
            finished.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    job = make_job(
        model,
        n,
        output,
        format=format,
        labels=labels,
        images=images,
        seed=seed,
        shard_size=shard_size,
    )
    manifest = run(job, functools.partial(in_pool, workers=workers))
    assert manifest is not None  # no other job shares the work
    return manifest


def make_job(
    model: "str | os.PathLike[str] | VAEModel | ModelFile",
    n: int,
    output: str | os.PathLike[str],
    *,
    format: str,  # noqa: A002
    labels: Any,
    seed: int,
    shard_size: int | None,
    images: "Tensor | None" = None,
    classes: Sequence[str] = (),
) -> Job:
    """Check the arguments of `generate` and turn them into a job. Nothing is written.

    `classes` names the classes of `images`; without it their names are their indices.
    """
    file = _checked_file(model)
    source = file.spec.kind.source(file.spec, file.path.stem, labels, images, classes)
    plan = make_plan(file, n, format=format, seed=seed, shard_size=shard_size, source=source)
    return Job(plan, file.path.absolute(), Path(output).absolute(), file.spec, source)


def _checked_file(model: "str | os.PathLike[str] | VAEModel | ModelFile") -> ModelFile:
    if isinstance(model, ModelFile):
        return model
    if isinstance(model, str | os.PathLike):
        return read_model(find_model(model))
    return model.file


def run(
    job: Job,
    engine: Engine,
    share: Share = ALL_SHARDS,
    report: Callable[[int], None] = lambda done: None,
) -> Manifest | None:
    """Make what is missing of a share of the shards on an engine.

    Args:
        job: what to make.
        engine: what makes the shards with the given numbers.
        share: those of this job, where several share the work.
        report: called with the number of images of this share that are done: at once, and after
            every shard.

    Returns:
        The manifest, or None while other jobs are at work.

    Raises:
        VAEAugmentError: as `generate`.
    """
    try:
        # From the first file on: Python loses a KeyboardInterrupt that comes while a temporary
        # folder is tidied up.
        with Interruptible() as interrupt:
            prepare(job)
            interrupt.raise_if_requested()
            _make_missing(job, engine, share, report, interrupt)
        return finish(job)
    except VAEAugmentError:
        raise
    except (OSError, MemoryError) as error:
        number = getattr(error, "errno", None)
        # pyarrow's errors have a text of their own.
        reason = os.strerror(number) if number else error
        raise GenerationError(
            f"{job.output} cannot be written: {reason}. Finished shards stay, and there is no "
            "half of one. Put that right, and the same command goes on."
        ) from error


def _make_missing(
    job: Job,
    engine: Engine,
    share: Share,
    report: Callable[[int], None],
    interrupt: Interruptible,
) -> None:
    manifest = job.output / MANIFEST
    # Before the shards are looked at: another run may finish them from now on.
    was_finished = manifest.exists()
    there = finished(job, share)
    missing = [shard for shard in share.shards(job.plan) if shard not in there]
    if missing and was_finished:
        manifest.unlink(missing_ok=True)
    done = sum(record.images for record in there.values())
    report(done)
    with contextlib.closing(engine(job, missing)) as records:
        for record in records:
            done += record.images
            report(done)
            interrupt.raise_if_requested()
