"""The unit of work: one shard, a pure function of the plan and the shard's number.

It is made in a folder of its own, synced, renamed into place, and only then recorded, so that any
engine may run it, die at any point, and run it again. Several runs of one plan may share the output
folder: the first that sees all shards recorded removes `staging`. A run that still writes there
then fails, and takes the record that is there.
"""

import functools
import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GenerationError, ModelFormatError
from ..files import publish
from ..model.facts import UINT8_SCALE
from ..model.file import read_checked
from ..model.sessions import TranslatedErrors, open_session, resolve_providers
from ..model.sources import Source
from ..model.spec import Spec
from .formats import FORMATS, Content, Pixels, image_names
from .plan import Plan, block_size

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class Job:
    """A plan, the model file, the folder to fill, and what the images are made of.

    Without `spec` and `source` nothing can be made, only looked at.
    """

    plan: Plan
    model: Path
    output: Path
    spec: Spec | None = None
    source: Source | None = None

    @property
    def staging(self) -> Path:
        """Where files are written; what a killed worker leaves stays until all shards are done."""
        return self.output / "staging"

    def record_path(self, shard: int) -> Path:
        """The file that says that a shard is done."""
        return self.output / "shards" / f"{shard:05d}.json"

    def names(self, shard: int) -> list[str]:
        """The names of a shard's files below the output folder."""
        plan = self.plan
        endings = FORMATS[self.plan.format].endings
        if endings is None:
            return image_names(plan.keys(shard), plan.labels_of(shard), len(plan.classes))
        return [f"train-{shard:05d}-of-{plan.shards:05d}{ending}" for ending in endings]


@dataclass(frozen=True)
class Record:
    """A finished shard."""

    shard: int
    images: int
    bytes: int
    sha256: str  # of its file or, if it has several, of what `sha256sum` prints for them


class Worker:
    """Makes shards with a decoder that it opens once, on one thread and without torch."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def make(self, shard: int) -> Record:
        """Make a shard, unless it is there and whole.

        Raises:
            UnsafeModelError: the model file is no longer the one of the plan.
            OSError: as the system does; nothing of the shard is then in place.
        """
        record = read_record(self.job, shard)
        if record is None:
            try:
                return self._make(shard)
            except OSError:
                record = read_record(self.job, shard)  # of another run, which has removed `staging`
                if record is None:
                    raise
        return record

    def _make(self, shard: int) -> Record:
        job = self.job
        plan = job.plan
        names = job.names(shard)
        images = self.images(plan.span(shard))
        content = Content(images, plan.keys(shard), plan.labels_of(shard), plan.classes)
        job.staging.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{shard:05d}-", dir=job.staging) as folder:
            places = {Path(folder, name): job.output / name for name in names}
            _make_parents(places.keys())
            FORMATS[plan.format].write(content, list(places))
            size, sha256 = measure(Path(folder), names)
            record = Record(shard, len(images), size, sha256)
            _make_parents(places.values())
            publish(places)
        write_json(job, job.record_path(shard), asdict(record))
        return record

    def images(self, span: range) -> Pixels:
        """Those of `VAESyntheticDataset` at these indices, pixel for pixel, [N, C, H, W] uint8."""
        block = block_size(self.job.plan.image_shape)
        images = np.empty((len(span), *self.job.plan.image_shape), np.uint8)
        for start in range(span.start // block * block, span.stop, block):
            low = max(start, span.start)
            high = min(start + block, span.stop)
            made = self._block(start)
            images[low - span.start : high - span.start] = made[low - start : high - start]
        return images

    def _block(self, start: int) -> Pixels:
        plan = self.job.plan
        index = np.arange(start, start + block_size(plan.image_shape))
        spec, source = self._contents
        _, inputs = source.draw(spec, index, plan.seed)
        with TranslatedErrors(f"{self.job.model} fails when run"):
            (images,) = self._session.run(None, inputs)
        if images.shape != (len(index), *plan.image_shape) or not np.isfinite(images).all():
            raise ModelFormatError(
                f"{self.job.model} gave {images.shape}, or numbers that are not finite."
            )
        # As pixels.from_batch, which needs torch
        return (images * np.float32(UINT8_SCALE)).astype(np.uint8)

    @property
    def _contents(self) -> tuple[Spec, Source]:
        job = self.job
        assert job.spec is not None
        assert job.source is not None
        return job.spec, job.source

    @functools.cached_property
    def _session(self) -> "InferenceSession":
        spec, source = self._contents
        # The plan names the bytes that were checked when it was made.
        file = read_checked(self.job.model, self.job.plan.model, spec)
        return open_session(
            file.part(source.part), resolve_providers("cpu"), threads=1, strict=False
        )


def read_record(job: Job, shard: int) -> Record | None:
    """The record of a shard that is there and has all its bytes, else None."""
    try:
        record = Record(**read_json(job.record_path(shard)))
        size = sum((job.output / name).stat().st_size for name in job.names(shard))
    except (FileNotFoundError, GenerationError, TypeError):
        return None
    expected = Record(shard, len(job.plan.span(shard)), size, record.sha256)
    return record if record == expected else None


def measure(folder: Path, names: Sequence[str]) -> tuple[int, str]:
    """The bytes and the sha256 of a shard whose files are `names` below `folder`."""
    digests = [_sha256(folder / name) for name in names]
    size = sum((folder / name).stat().st_size for name in names)
    if len(names) == 1:
        return size, digests[0]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return size, hashlib.sha256(listing.encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileNotFoundError: nothing is there.
        GenerationError: something else is.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a file")
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise GenerationError(
            f"{path} cannot be read: {error}. Restore it, or use another folder."
        ) from None
    return content


def write_json(job: Job, path: Path, content: object) -> None:
    """Write JSON so that a reader sees all of it or none.

    What a killed writer leaves is inside `staging`.
    """
    text = json.dumps(content, indent=1) + "\n"
    try:
        for folder in (job.staging, path.parent):
            folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=job.staging) as name:
            temporary = Path(name, path.name)
            temporary.write_text(text)
            publish({temporary: path})
    except OSError:
        is_written_by_another_run = path.is_file() and path.read_bytes() == text.encode()
        if not is_written_by_another_run:
            raise


def _sha256(path: Path) -> str:
    if not path.is_file():  # opening a named pipe would wait for ever
        raise FileNotFoundError(f"{path} is not a file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_parents(paths: Iterable[Path]) -> None:
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
