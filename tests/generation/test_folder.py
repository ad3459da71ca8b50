"""One folder and several jobs, others' files, damaged manifests, plans too large to manage."""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.generation.engines.rounds import ROUNDS, run_rounds
from tests.generation.test_generating import command, contents, make
from vae_augment.errors import GenerationError, InputError
from vae_augment.generation import Job, Record, make_job, run, verify
from vae_augment.generation import shard as shard_module
from vae_augment.generation.engines.ranks import run_serially
from vae_augment.generation.formats import FORMATS
from vae_augment.generation.plan import ALL_SHARDS, Share

JOBS = 4


def job_for(model: Path, output: Path, n: int = 20, **options: Any) -> Job:
    wanted = {"format": "npz", "labels": "balanced", "seed": 0, "shard_size": 7, **options}
    return make_job(model, n, output, **wanted)


# Several jobs in one folder


# The same command four times, and an array of jobs.
@pytest.mark.parametrize("shares", [1, pytest.param(JOBS, marks=pytest.mark.slow)])
def test_jobs_started_at_the_same_time(shares: int, tiny_model_path: Path, tmp_path: Path) -> None:
    context = get_context("spawn")
    barrier = context.Barrier(JOBS)
    processes = []
    for index in range(JOBS):
        share = Share(index % shares, shares)
        arguments = (tiny_model_path, tmp_path, share, barrier)
        processes.append(context.Process(target=run_rounds, args=arguments))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * JOBS
    whole = contents(make(tiny_model_path, tmp_path / "whole", 8, shard_size=1))
    for number in range(ROUNDS):
        assert contents(tmp_path / str(number)) == whole
        assert not (tmp_path / str(number) / "staging").exists()


def once(action: Callable[[], object], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, before whose first call `action` is done."""
    actions = [action]

    def changed(*arguments: Any) -> Any:
        if actions:
            actions.pop()()
        return function(*arguments)

    return changed


@pytest.mark.parametrize("name", FORMATS)
def test_another_run_finishes_while_a_shard_is_written(
    name: str, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(tiny_model_path, tmp_path / "out", format=name)
    write = once(lambda: run(job, run_serially), FORMATS[name].write)
    monkeypatch.setitem(FORMATS, name, dataclasses.replace(FORMATS[name], write=write))
    assert run(job, run_serially) is not None
    monkeypatch.undo()
    assert contents(job.output) == contents(
        make(tiny_model_path, tmp_path / "b", 20, format=name, shard_size=7)
    )


def no_engine(job: Job, shards: Sequence[int]) -> Any:
    """An engine that makes nothing."""
    yield from ()


@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
def test_another_run_finishes_while_a_file_is_written(
    name: str, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(tiny_model_path, tmp_path / "out")
    publish = shard_module.publish

    def publish_late(places: dict[Path, Path]) -> None:
        if job.output / name in places.values():
            monkeypatch.setattr(shard_module, "publish", publish)
            assert run(job, run_serially) is not None
        publish(places)

    monkeypatch.setattr(shard_module, "publish", publish_late)
    assert run(job, run_serially) is not None
    assert verify(job.output).plan.count == 20


def test_a_manifest_of_another_run_is_left(tiny_model_path: Path, tmp_path: Path) -> None:
    job = job_for(tiny_model_path, tmp_path / "out")

    def report(done: int) -> None:  # called once the run knows what is missing
        if not (job.output / "manifest.json").exists():
            run(job, run_serially)

    run(job, no_engine, report=report)
    assert verify(job.output).plan.count == 20


def test_an_error_that_no_other_run_makes_good_is_raised(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(tiny_model_path, tmp_path / "out")

    def write(*arguments: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setitem(FORMATS, "npz", dataclasses.replace(FORMATS["npz"], write=write))
    with pytest.raises(GenerationError, match="cannot be written: No such file or directory"):
        run(job, run_serially)


# Somebody else's files


@pytest.mark.parametrize(
    "name", ["thesis.tex", "shards/00000.json", "staging/thesis.tex", ".hidden"]
)
def test_a_folder_with_files_of_somebody_else_is_refused(
    name: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    code, text = command(tiny_model_path, "-n", 5, "-o", tmp_path / "out")
    assert (
        code,
        text.startswith(f"error: {tmp_path}/out holds {name.split('/00')[0]} and no plan.json"),
    ) == (2, True)
    assert contents(tmp_path / "out") == {name: b"mine"}


def test_what_a_run_killed_before_its_plan_leaves_is_its_own(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    left = tmp_path / "out" / "staging" / "plan.json-x1"
    left.mkdir(parents=True)
    (left / "plan.json").write_text("{")
    assert contents(make(tiny_model_path, tmp_path / "out")) == contents(
        make(tiny_model_path, tmp_path / "b")
    )


# Damaged manifests and records


def change(folder: Path, action: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    action(content)
    path.write_text(json.dumps(content))


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no shards": lambda manifest: manifest.update(shards=[]),
    "a shard removed": lambda manifest: manifest["shards"].pop(1),
    "a shard repeated": lambda manifest: manifest["shards"].insert(1, manifest["shards"][0]),
    "a shard replaced": lambda manifest: manifest["shards"].__setitem__(2, manifest["shards"][0]),
    "another count": lambda manifest: manifest["shards"][0].update(images=8),
    "another number": lambda manifest: manifest["shards"][1].update(shard=1.5),
    "shards of another type": lambda manifest: manifest.update(shards=7),
    "an unknown format": lambda manifest: manifest["plan"].update(format="zip"),
    "a format of another type": lambda manifest: manifest["plan"].update(format=["npz"]),
    "no images": lambda manifest: manifest["plan"].update(count=0),
    "no shard size": lambda manifest: manifest["plan"].update(shard_size=0),
    "too many shards": lambda manifest: manifest["plan"].update(count=10**30),
    "a count that is text": lambda manifest: manifest["plan"].update(count="20"),
    "a seed that is not whole": lambda manifest: manifest["plan"].update(seed=0.5),
    "no shape": lambda manifest: manifest["plan"].update(image_shape=[]),
    "no classes": lambda manifest: manifest["plan"].update(classes=[]),
    "no labels": lambda manifest: manifest["plan"]["labels"].update(choices=[]),
    "unknown labels": lambda manifest: manifest["plan"]["labels"].update(choices=[10**400]),
    "too few weights": lambda manifest: manifest["plan"]["labels"].update(cumulative=[1.0]),
    "a weight out of range": lambda manifest: manifest["plan"]["labels"].update(
        cumulative=[10**400] * 10
    ),
    "an unknown fact": lambda manifest: manifest["plan"].update(colour="red"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_manifest_does_not_verify(
    name: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out", 20, shard_size=7, format="imagefolder")
    verify(folder)
    change(folder, CHANGES[name])
    with pytest.raises(GenerationError, match=r"manifest\.json|not what the manifest says"):
        verify(folder)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"plan": ' * 100_000, "9" * 10_000, "\x00", "null"]
)
def test_a_manifest_that_is_not_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(GenerationError, match=r"manifest\.json cannot be read"):
        verify(tmp_path)


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("replace", [replace_by_fifo, replace_by_folder])
@pytest.mark.parametrize("name", ["manifest.json", "train-00001-of-00003.npz"])
def test_verify_of_something_that_is_no_file(
    name: str, replace: Callable[[Path], None], tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out", 20, shard_size=7)
    replace(folder / name)
    with pytest.raises(GenerationError, match=r"manifest\.json cannot be read|1 of 3 shards"):
        verify(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["shards/00001.json", "train-00001-of-00003.npz"])
def test_a_resumed_run_replaces_a_pipe(name: str, tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out", 20, shard_size=7)
    before = contents(folder)
    replace_by_fifo(folder / name)
    assert contents(make(tiny_model_path, folder, 20, shard_size=7)) == before


@pytest.mark.timeout(20)
def test_a_plan_that_is_a_pipe(tiny_model_path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(GenerationError, match=r"plan\.json cannot be read"):
        make(tiny_model_path, tmp_path)


@pytest.mark.parametrize("change", [{"shard": 2}, {"images": "7"}, {"images": 6}])
def test_a_changed_record_is_made_again(
    change: dict[str, object], tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out", 20, shard_size=7)
    before = contents(folder)
    path = folder / "shards" / "00001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert contents(make(tiny_model_path, folder, 20, shard_size=7)) == before


# Large plans


def test_a_plan_of_too_many_shards_is_refused_at_once(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    start = time.perf_counter()
    assert command(
        tiny_model_path, "-n", 10**12, "-o", tmp_path / "out", "--shard-size", 10_000
    ) == (
        1,
        "error: 1,000,000,000,000 images in shards of 10,000 are 100,000,000 shards; at most "
        "1,000,000 can be managed. Use a shard size of at least 1,000,001.\n",
    )
    assert time.perf_counter() - start < 3
    assert not (tmp_path / "out").exists()


def test_the_largest_plan_starts_at_once(tiny_model_path: Path, tmp_path: Path) -> None:
    job = job_for(tiny_model_path, tmp_path / "out", 10**12 - 1, shard_size=10**6)
    given, start = [], time.perf_counter()

    def engine(job: Job, shards: Sequence[int]) -> Any:
        given.append((time.perf_counter() - start, len(shards)))
        yield Record(0, 0, 0, "")

    reports: list[int] = []
    assert run(job, engine, report=reports.append) is None
    ((seconds, shards),) = given
    assert (shards, reports) == (10**6, [0, 0])
    assert seconds < 2
    assert job.plan.images_of(ALL_SHARDS) == 10**12 - 1
    assert job.plan.images_of(Share(999_999, 10**6)) == 10**6 - 1


def test_the_images_of_shares(tiny_model_path: Path, tmp_path: Path) -> None:
    plan = job_for(tiny_model_path, tmp_path).plan
    assert [plan.images_of(Share(index, 2)) for index in range(2)] == [13, 7]
    assert [plan.images_of(Share(index, 5)) for index in range(5)] == [7, 7, 6, 0, 0]


def test_a_shard_that_does_not_fit_into_memory(tiny_model_path: Path, tmp_path: Path) -> None:
    job = job_for(tiny_model_path, tmp_path / "out", 2**52, shard_size=2**52)
    with pytest.raises(GenerationError, match="cannot be written: Unable to allocate"):
        run(job, run_serially)


def test_the_number_of_images_is_required(tiny_model_path: Path, tmp_path: Path) -> None:
    code, text = command(tiny_model_path, "-o", tmp_path / "out")
    assert (code, text) == (1, "error: -n is required: how many images to generate.\n")
    assert not (tmp_path / "out").exists()


def test_format_and_labels_that_do_not_go_together(tiny_model_path: Path, tmp_path: Path) -> None:
    plan = job_for(tiny_model_path, tmp_path).plan
    with pytest.raises(
        InputError, match=r"idx holds labels from 0 to 255, but here they are -1\.\.3"
    ):
        dataclasses.replace(
            plan, format="idx", labels=dataclasses.replace(plan.labels, choices=(-1, 3))
        )
