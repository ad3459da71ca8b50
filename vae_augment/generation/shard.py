"""The unit of work: one shard, a pure function of the plan and the shard's number.

It is made in a folder of its own, synced, renamed into place, and only then recorded, so that any engine may run it,
die at any point, and run it again; one that is recorded and whole is left alone.
"""

import dataclasses
import functools
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ModelFormatError
from ..files import publish
from ..modelfile import read_model
from ..sampling import draw
from ..sessions import open_session, resolve_providers
from .formats import FORMATS, Pixels
from .plan import Plan


@dataclass(frozen=True)
class Job:
    """A plan, the model file to run and the folder to fill: what a worker is sent."""

    plan: Plan
    model: Path
    output: Path
    allow_ops: tuple[str, ...] = ()

    @property
    def staging(self) -> Path:
        """Where shards are made. What a killed worker leaves stays here, and goes when all is done."""
        return self.output / "staging"

    def record_path(self, shard: int) -> Path:
        """The file that says that a shard is done."""
        return self.output / "shards" / f"{shard:05d}.json"

    def names(self, shard: int) -> list[str]:
        """The names of a shard's files below the output folder."""
        return FORMATS[self.plan.format].names(self.plan, shard)


@dataclass(frozen=True)
class Record:
    """A finished shard. `sha256` is its file's, or that of the listing that `sha256sum` prints of its files."""

    shard: int
    images: int
    bytes: int
    sha256: str


class Worker:
    """Makes shards with a decoder that it opens once, on one thread of the CPU and without torch."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def make(self, shard: int) -> Record:
        """Make a shard, unless it is there and whole.

        Raises:
            UnsafeModelError: the model file is no longer the one of the plan.
            OSError: as the system does; nothing of the shard is then in place.
        """
        found = read_record(self.job, shard)
        if found is not None:
            return found
        job, plan, names = self.job, self.job.plan, self.job.names(shard)
        job.staging.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{shard:05d}-", dir=job.staging) as folder:
            paths = [Path(folder, name) for name in names]
            _make_parents(paths)
            FORMATS[plan.format].write(plan, shard, self.images(plan.span(shard)), paths)
            record = Record(shard, len(plan.span(shard)), *measure(Path(folder), names))
            places = [job.output / name for name in names]
            _make_parents(places)
            publish(dict(zip(paths, places, strict=True)))
        write_json(job, job.record_path(shard), dataclasses.asdict(record))
        return record

    def images(self, span: range) -> Pixels:
        """The images at a range of indices, [N, C, H, W] uint8: those of `VAESyntheticDataset`, pixel for pixel."""
        block = self.job.plan.block
        images = np.empty((len(span), *self.job.plan.image_shape), np.uint8)
        for start in range(span.start // block * block, span.stop, block):
            low, high = max(start, span.start), min(start + block, span.stop)
            images[low - span.start : high - span.start] = self._block(start)[low - start : high - start]
        return images

    def _block(self, start: int) -> Pixels:
        plan, (spec, session) = self.job.plan, self._decoder
        index = np.arange(start, start + plan.block)
        latent, labels = draw(spec, plan.labels, index, plan.seed)
        (images,) = session.run(None, {"latent": latent, **({"label": labels} if spec.conditional else {})})
        if images.shape != (len(index), *plan.image_shape) or not np.isfinite(images).all():
            raise ModelFormatError(f"{self.job.model} gave {images.shape}, or numbers that are not finite.")
        return (images * np.float32(255.999)).astype(np.uint8)  # as pixels.from_batch, which needs torch

    @functools.cached_property
    def _decoder(self):  # type: ignore[no-untyped-def]
        file = read_model(self.job.model, sha256=self.job.plan.model, allow_ops=self.job.allow_ops)
        return file.spec, open_session(file.part("decoder"), resolve_providers("cpu"), threads=1, strict=False)


def read_record(job: Job, shard: int) -> Record | None:
    """The record of a shard that is there and has all its bytes, else None."""
    try:
        record = Record(**json.loads(job.record_path(shard).read_text()))
        size = sum((job.output / name).stat().st_size for name in job.names(shard))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.bytes == size else None


def measure(folder: Path, names: Sequence[str]) -> tuple[int, str]:
    """The bytes and the sha256 of a shard whose files are `names` below `folder`."""
    size = sum((folder / name).stat().st_size for name in names)
    digests = [_sha256(folder / name) for name in names]
    if len(names) == 1:
        return size, digests[0]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return size, hashlib.sha256(listing.encode()).hexdigest()


def write_json(job: Job, path: Path, content: object) -> None:
    """Write JSON so that a reader sees all of it or none, and a killed writer leaves nothing outside `staging`."""
    for folder in (job.staging, path.parent):
        folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.staging) as name:
        temporary = Path(name, path.name)
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        publish({temporary: path})


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_parents(paths: Sequence[Path]) -> None:
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
