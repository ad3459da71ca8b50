"""The same 24 shards, byte for byte, from every engine and through every way to die.

Ray has a file of its own.
"""

import functools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from vae_augment.errors import GenerationError
from vae_augment.generation import Job, generate, make_job, run, verify
from vae_augment.generation.engines.processes import in_pool
from vae_augment.generation.engines.ranks import run_serially

SHARDS, SHARD_SIZE = 24, 2000  # a shard takes about 30 ms
COUNT = SHARDS * SHARD_SIZE - 7
OPTIONS = ("-n", str(COUNT), "--shard-size", str(SHARD_SIZE))
COMMAND = (sys.executable, "-c", "from vae_augment.cli import main; main()", "generate")
FINISHED = {"plan.json", "manifest.json", "shards"}


@pytest.fixture(scope="session")
def reference(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference") / "out"
    assert run(job_for(tiny_model_path, folder), run_serially) is not None
    return contents(folder)


def job_for(model: Path, output: Path) -> Job:
    return make_job(
        model, COUNT, output, format="npz", labels="balanced", seed=0, shard_size=SHARD_SIZE
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_shards(folder: Path, count: int) -> None:
    while len(list(folder.glob("train-*"))) < count:
        time.sleep(0.002)


def assert_group_ends(group: int) -> None:
    """No process of the group is left after a moment."""
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("a worker outlived its parent")


def test_the_reference_is_24_shards(reference: dict[str, bytes]) -> None:
    assert sum(name.startswith("train-") for name in reference) == SHARDS


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_pool(
    workers: int, tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    manifest = generate(
        tiny_model_path, COUNT, tmp_path / "out", shard_size=SHARD_SIZE, workers=workers
    )
    assert len(manifest.shards) == SHARDS
    assert contents(tmp_path / "out") == reference


@pytest.mark.timeout(120)
# The other is stuck as when the killed one held the lock of the results.
@pytest.mark.parametrize("is_other_stuck", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_pool_with_a_worker_killed(
    is_other_stuck: bool, tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    seen: set[int] = set()

    def kill_one(done: int) -> None:
        children = {process.pid for process in multiprocessing.active_children()}
        if 0 < done < COUNT // 2 and not seen:
            if is_other_stuck:
                os.kill(max(children), signal.SIGSTOP)
            os.kill(min(children), signal.SIGKILL)
        seen.update(children)

    run(
        job_for(tiny_model_path, tmp_path / "out"),
        functools.partial(in_pool, workers=2),
        report=kill_one,
    )
    assert len(seen) >= 4  # two pools of two
    assert contents(tmp_path / "out") == reference


@pytest.mark.parametrize(
    "error", [ValueError("bad value(s) in fds_to_keep"), OSError("handle is closed")]
)
def test_a_worker_that_dies_while_the_next_one_starts(
    error: Exception, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 then uses pipes that are closed already."""

    def submit(*_: object) -> None:
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    with pytest.raises(GenerationError, match="Workers died 4 times in a row"):
        run(job_for(tiny_model_path, tmp_path / "out"), functools.partial(in_pool, workers=2))


# In Python 3.11 the pool's own thread may fail while it counts its dying processes, after it has
# said that they died.
@pytest.mark.filterwarnings(
    "ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning"
)
def test_pool_whose_workers_always_die(tiny_model_path: Path, tmp_path: Path) -> None:
    is_over = threading.Event()

    def kill_all() -> None:
        while not is_over.wait(0.02):
            for process in multiprocessing.active_children():
                process.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(
            GenerationError, match="Workers died 4 times in a row with 24 shards to go"
        ):
            run(job_for(tiny_model_path, tmp_path / "out"), functools.partial(in_pool, workers=2))
    finally:
        is_over.set()
        killer.join()


@pytest.mark.parametrize(  # a terminal and Slurm signal the group, kill the parent alone
    ("number", "code", "is_group"),
    [
        pytest.param(signal.SIGINT, 130, True, marks=pytest.mark.slow),
        (signal.SIGTERM, 143, True),
        pytest.param(signal.SIGTERM, 143, False, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_command_between_shards(
    number: signal.Signals, code: int, is_group: bool, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    process = start(
        *COMMAND, tiny_model_path, *OPTIONS, "-n", 2_000_000, "-o", folder, "--workers", 2
    )
    wait_for_shards(folder, 2)
    (os.killpg if is_group else os.kill)(process.pid, number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (code, "")
    assert "images are done. The same command goes on." in errors
    assert "Traceback" not in errors
    assert not (folder / "manifest.json").exists()
    assert_group_ends(process.pid)


@pytest.mark.parametrize("delay", [pytest.param(0.02, marks=pytest.mark.slow), 0.3])
def test_ctrl_c_while_the_workers_start_gives_one_message(
    delay: float, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    process = start(
        *COMMAND, tiny_model_path, *OPTIONS, "-n", 2_000_000, "-o", folder, "--workers", 2
    )
    while not (folder / "plan.json").exists():
        time.sleep(0.002)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in errors
    assert "cannot be imported" not in errors
    assert errors.splitlines()[-1] == "Interrupted."
    assert_group_ends(process.pid)


def test_workers_end_with_a_killed_parent(tiny_model_path: Path, tmp_path: Path) -> None:
    process = start(
        *COMMAND, tiny_model_path, *OPTIONS, "-n", 2_000_000, "-o", tmp_path / "out", "--workers", 2
    )
    wait_for_shards(tmp_path / "out", 2)
    process.kill()
    process.communicate(timeout=30)
    assert_group_ends(process.pid)


@pytest.mark.slow
def test_killed_five_times_and_resumed(
    tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    folder, moments = tmp_path / "out", random.Random(0)
    done = [0]
    for _ in range(5):
        process = start(*COMMAND, tiny_model_path, *OPTIONS, "-o", folder, "--workers", 2)
        wait_for_shards(folder, done[-1] + 1)
        time.sleep(moments.uniform(0, 0.03))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        done.append(len(list(folder.glob("train-*"))))
        assert not (folder / "manifest.json").exists()
    assert done[-1] < SHARDS
    generate(tiny_model_path, COUNT, folder, shard_size=SHARD_SIZE, workers=2)
    assert contents(folder) == reference
    assert verify(folder).plan.count == COUNT


@pytest.mark.slow
def test_torchrun_with_two_ranks(
    tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    launch = (
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        2,
        "--no-python",
    )
    process = start(*launch, *COMMAND, tiny_model_path, *OPTIONS, "-o", tmp_path / "out")
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    assert "in 24 shards" in output
    assert contents(tmp_path / "out") == reference


@pytest.mark.slow
def test_torchrun_with_a_rank_killed(
    tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    script = tmp_path / "rank.py"
    script.write_text(
        "import os, signal, sys\n"
        "from vae_augment.generation import shard\n"
        "from vae_augment.cli import main\n"
        "original = shard.Worker.make\n"
        "def make(self, number):\n"
        "    if number == 9 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return original(self, number)\n"
        "shard.Worker.make = make\n"
        "main()\n"
    )
    process = start(
        *launch,
        "--max-restarts",
        2,
        script,
        "generate",
        tiny_model_path,
        *OPTIONS,
        "-o",
        tmp_path / "out",
    )
    _, errors = process.communicate(timeout=110)
    assert process.returncode == 0, errors
    assert "SIGKILL" in errors or "-9" in errors
    assert contents(tmp_path / "out") == reference
