"""Run a scenario of ray_drivers.py in a process of its own, which Ray's core may end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTS = 3
SECONDS = 200  # for one start; undisturbed, none takes more than 30
GRACE = (
    60  # seconds for Ray's own processes to end after the driver; undisturbed, they take one or two
)
PYTHON_ERROR = 3  # the exit status of a driver that ended with an exception
FACTS = "facts.json"  # in the working folder
WRITTEN = ("stdout", "stderr")
LOGS = ("python-core-driver*", "gcs_server.*", "raylet.*")


class DriverError(AssertionError):
    """A driver that failed: how, what it wrote, and what Ray logged."""


def drive(scenario: str, model: Path, output: Path) -> list[dict[str, Any]]:
    """What the driver told, from all its starts.

    Where Ray's core ends the driver, without a Python error, it is started again on the same
    output, as a user would do, at most twice.

    Raises: DriverError: an exception in the driver, no end in time, Ray still running afterwards,
        or one death too many.
    """
    facts: list[dict[str, Any]] = []
    for start in range(1, STARTS + 1):
        with tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)  # with a short path, as sockets need
            status, left = _run([scenario, str(model), str(output)], folder)
            facts += [json.loads(path.read_text()) for path in folder.glob(FACTS)]
            if status == 0 and not left:
                return facts
            story = (
                f"{scenario}, start {start} of {STARTS}: {_ending(status, left)}\n{_story(folder)}"
            )
        print(f"\n{story}", flush=True)  # noqa: T201
        if status in (0, None, PYTHON_ERROR):
            break
    raise DriverError(story)


def _run(arguments: list[str], folder: Path) -> tuple[int | None, list[str]]:
    """Run the driver in `folder`.

    Its exit status, None when its time was over, and what it left running.
    """
    command = [sys.executable, str(Path(__file__).with_name("ray_drivers.py")), *arguments]
    paths = {"RAY_TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[3])}
    niceness = {
        "RAY_worker_niceness": "0"
    }  # with its own, 15, Ray's workers starve on a busy machine
    environment = os.environ | paths | niceness | {"RAY_USAGE_STATS_ENABLED": "0"}
    # Files and not pipes, which whatever Ray leaves running would keep open.
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        driver = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    try:
        status = _wait(driver)
    finally:
        driver.kill()
        driver.wait()
        left = _end(folder)
    return status, left


def _wait(driver: "subprocess.Popen[bytes]") -> int | None:
    try:
        return driver.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _end(folder: Path) -> list[str]:
    """Give Ray's own processes time to end, then kill them.

    The commands of those that had to be killed.
    """
    deadline = time.monotonic() + GRACE
    while (left := _running(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return list(left.values())


def _running(folder: Path) -> dict[int, str]:
    """The processes whose working folder is `folder`, with their commands.

    Those of Ray stay where their driver is.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = " ".join(
                    (process / "cmdline").read_text().replace("\0", " ").split()
                )
    return found


def _ending(status: int | None, left: list[str]) -> str:
    if status is None:
        return f"no end within {SECONDS} s"
    if status == 0:
        return f"still running {GRACE} s after its end: {left}"
    return (
        "an exception"
        if status == PYTHON_ERROR
        else f"dead without a Python error, exit status {status}"
    )


def _story(folder: Path) -> str:
    """What the driver wrote and the last entries of Ray's logs."""
    logs = [path for name in LOGS for path in sorted(folder.glob(f"ray/session_2*/logs/{name}"))]
    tails = {path: _read(path)[-12:] for path in logs} | {
        folder / name: _read(folder / name) for name in WRITTEN
    }
    return "\n".join(
        "\n".join([f"--- {path.relative_to(folder)}", *tail])
        for path, tail in tails.items()
        if tail
    )


def _read(path: Path) -> list[str]:
    """The lines of a file, cut; of Ray's logs without the tables of statistics."""
    lines = [line[:300] for line in path.read_text(errors="replace").splitlines()]
    return lines if path.name in WRITTEN else [line for line in lines if line.startswith("[2")]
