"""The output folder: the plan is written first, the manifest last, and only the manifest means done."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import GenerationError, OutputExistsError
from .plan import Plan, differences
from .shard import Job, Record, measure, read_record, write_json

PLAN, MANIFEST = "plan.json", "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """A finished data set: its plan and every shard."""

    plan: Plan
    shards: tuple[Record, ...]

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return sum(record.bytes for record in self.shards)


def prepare(job: Job) -> None:
    """Write the plan into the folder, or find there that it is the same.

    Raises:
        OutputExistsError: another plan is there.
        OutputExistsError: there is no plan, but something where the images would go.
        OSError: the folder cannot be written.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    path = job.output / PLAN
    if not path.exists():
        if any(job.output.glob("train*")):
            raise OutputExistsError(f"{job.output} holds images of another origin and no {PLAN}. Use another folder.")
        write_json(job, path, job.plan.to_json())
    found = differences(_read(path), job.plan.to_json())
    if found:
        raise OutputExistsError(
            f"{job.output} belongs to another plan: {'; '.join(found)}. It was left as it is. Use another folder, or "
            "the plan that is there."
        )


def pending(job: Job, part: tuple[int, int] = (0, 1)) -> list[int]:
    """The shards of part i of n, given as (i, n), that are still to be made."""
    index, parts = part
    return [shard for shard in range(index, job.plan.shards, parts) if read_record(job, shard) is None]


def finish(job: Job) -> Manifest | None:
    """Write the manifest and tidy up when every shard is there; else, as with other parts still at work, None."""
    records = [read_record(job, shard) for shard in range(job.plan.shards)]
    whole = tuple(record for record in records if record is not None)
    if len(whole) < len(records):
        return None
    manifest = {"plan": job.plan.to_json(), "shards": [asdict(record) for record in whole]}
    write_json(job, job.output / MANIFEST, manifest)
    shutil.rmtree(job.staging, ignore_errors=True)
    return Manifest(job.plan, whole)


def verify(output: Path) -> Manifest:
    """Compare every shard in a folder with its manifest, byte by byte.

    Raises:
        GenerationError: there is no manifest, or a shard is missing or not what it was.
    """
    output = Path(output)
    manifest = _read_manifest(output)
    job = Job(manifest.plan, Path(), output)
    broken = [record.shard for record in manifest.shards if not _is_whole(job, record)]
    if broken:
        records = ", ".join(str(job.record_path(shard).relative_to(output)) for shard in broken[:10])
        raise GenerationError(
            f"{len(broken)} of {len(manifest.shards)} shards in {output} are not what the manifest says: "
            f"{_list(broken)}. Delete their records ({records}{', ...' * (len(broken) > 10)}) and give the same "
            "command as before: it makes them again."
        )
    return manifest


def _read_manifest(output: Path) -> Manifest:
    path = output / MANIFEST
    if not path.exists():
        raise GenerationError(f"{output} has no {MANIFEST}, so it is not finished. The same command as before goes on.")
    content = _read(path)
    try:
        return Manifest(Plan.from_json(content["plan"]), tuple(Record(**record) for record in content["shards"]))
    except (KeyError, TypeError) as error:
        raise GenerationError(f"{path} is not a manifest ({error!r}). Delete it and give the same command.") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise GenerationError(f"{path} cannot be read: {error}. Use another folder.") from None
    if not isinstance(content, dict):
        raise GenerationError(f"{path} is not a JSON object. Use another folder.")
    return content


def _is_whole(job: Job, record: Record) -> bool:
    try:
        return measure(job.output, job.names(record.shard)) == (record.bytes, record.sha256)
    except FileNotFoundError:
        return False


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + ", ..." * (len(numbers) > 10)
