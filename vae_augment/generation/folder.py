"""The output folder: the plan is written first, the manifest last, and only that means done."""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import GenerationError, OutputExistsError
from .plan import ALL_SHARDS, Plan, Share, differences
from .shard import Job, Record, measure, read_json, read_record, write_json

PLAN = "plan.json"
MANIFEST = "manifest.json"
MOST_NAMED = 10  # records in an error


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
    """Write the plan into the folder, or check that the same plan is there.

    Raises:
        OutputExistsError: another plan is there, or other files.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    path = job.output / PLAN
    # Listed before the plan is looked for: a run that starts at the same time writes its plan
    # before all else.
    staging = job.staging.name
    others = [name for name in _entries(job.output) if name != staging]
    others += [f"{staging}/{name}" for name in _entries(job.staging) if not name.startswith(PLAN)]
    if not path.exists():
        if others:
            raise OutputExistsError(
                f"{job.output} holds {min(others)} and no {PLAN}. It was left as it is. Use a new "
                "or empty folder."
            )
        write_json(job, path, job.plan.to_json())
    found = differences(read_json(path), job.plan.to_json())
    if found:
        raise OutputExistsError(
            f"{job.output} belongs to another plan: {'; '.join(found)}. It was left as it is. Use "
            "another folder, or the plan that is there."
        )


def finished(job: Job, share: Share = ALL_SHARDS) -> dict[int, Record]:
    """The shards of a share that are there and whole, in a time that depends on these alone."""
    names = [Path(name).stem for name in _entries(job.record_path(0).parent)]
    ours = share.shards(job.plan)
    numbers = sorted(int(name) for name in names if name.isdecimal() and int(name) in ours)
    records = {shard: read_record(job, shard) for shard in numbers}
    return {shard: record for shard, record in records.items() if record is not None}


def finish(job: Job) -> Manifest | None:
    """Write the manifest and tidy up if every shard is there; None while other jobs are at work."""
    records = tuple(finished(job).values())
    if len(records) < job.plan.shards:
        return None
    manifest = {"plan": job.plan.to_json(), "shards": [asdict(record) for record in records]}
    write_json(job, job.output / MANIFEST, manifest)
    shutil.rmtree(job.staging, ignore_errors=True)
    return Manifest(job.plan, records)


def verify(output: Path) -> Manifest:
    """Compare every shard of a folder with its manifest, by its sha256.

    Raises:
        GenerationError: there is no manifest, it does not list each shard of its plan, or a shard
            has other content.
    """
    output = Path(output)
    manifest = _read_manifest(output / MANIFEST)
    job = Job(manifest.plan, Path(), output)
    broken = [
        shard for shard, record in enumerate(manifest.shards) if not _is_whole(job, shard, record)
    ]
    if broken:
        records = [str(job.record_path(shard).relative_to(output)) for shard in broken[:MOST_NAMED]]
        if len(broken) > MOST_NAMED:
            records.append("...")
        raise GenerationError(
            f"{len(broken)} of {len(manifest.shards)} shards in {output} are not what the "
            f"manifest says. Delete their records ({', '.join(records)}) and give the same "
            "command as before: it makes them again."
        )
    return manifest


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        raise GenerationError(
            f"{path.parent} has no {path.name}, so it is not finished. The same command as before "
            "goes on."
        )
    content = read_json(path)
    try:
        plan = Plan.from_json(content["plan"])
        records = tuple(Record(**record) for record in content["shards"])
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise GenerationError(
            f"{path} is not a manifest ({error!r}). Delete it and give the same command."
        ) from None
    if [record.shard for record in records] != list(range(plan.shards)):
        raise GenerationError(
            f"{path} does not list each of the {plan.shards} shards of its plan once and in "
            "order. Delete it and give the same command."
        )
    return Manifest(plan, records)


def _is_whole(job: Job, shard: int, record: Record) -> bool:
    try:
        size, sha256 = measure(job.output, job.names(shard))
    except FileNotFoundError:
        return False
    return record == Record(shard, len(job.plan.span(shard)), size, sha256)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
