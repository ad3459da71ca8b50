"""What every benchmark needs: the facts of the machine, timing, and files of results."""

import argparse
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch

from vae_augment import __version__
from vae_augment.evaluation.splits import Source
from vae_augment.model.sessions import runtime_version
from vae_augment.training import ImageData, load_data

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn")
Clock = Callable[[], float]  # seconds
Spread = dict[str, float]
Row = dict[str, Any]


def machine() -> Row:
    """The processor, the threads and the versions, as JSON-ready values."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "cpu": processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions | {"onnxruntime": runtime_version(), "vae-augment": __version__},
    }


def processor() -> str:
    """The name of the processor, as Linux has it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def rates(
    runs: Mapping[str, Callable[[], Any]],
    images: int,
    *,
    repeats: int,
    seconds: float,
    clock: Clock = perf_counter,
) -> dict[str, Spread]:
    """Images per second of each of `runs`, which handles `images` per call.

    They take turns, so that a slow minute of the machine falls on all of them.

    Args:
        runs: what is timed, by name.
        images: per call.
        repeats: turns of each.
        seconds: a turn lasts so long, or one call.
        clock: `perf_counter`, or `process_time` for what other processes should not disturb.
    """
    calls = {}
    for name, run in runs.items():
        timed(run, 1, clock)
        calls[name] = max(1, round(seconds / max(timed(run, 1, clock), 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run, calls[name], clock))
    return {name: spread([images / time for time in taken]) for name, taken in times.items()}


def timed(run: Callable[[], Any], calls: int, clock: Clock) -> float:
    """Seconds per call."""
    start = clock()
    for _ in range(calls):
        run()
    return (clock() - start) / calls


def spread(values: list[float]) -> Spread:
    """The median and the quartiles of the values."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {"median": median(values), "lower_quartile": low, "upper_quartile": high}


def read_lines(path: Path) -> list[Row]:
    """The rows of a file of JSON lines; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def add_line(path: Path, row: Row) -> None:
    """Add a row, with the machine that it was measured on."""
    with path.open("a") as file:
        file.write(json.dumps(row | machine()) + "\n")


def is_there(rows: list[Row], wanted: Row) -> bool:
    """Whether a row has all the values of `wanted`."""
    return any(wanted.items() <= row.items() for row in rows)


def model_and_images(
    description: str | None, arguments: Sequence[str] | None
) -> tuple[str, ImageData]:
    """The arguments of a script that writes into the file of a model.

    They are the model and the images of its training, read.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name, or the path of an .onnx file")
    parser.add_argument("data", help="its training images, as for fit")
    parser.add_argument("--root", help="folder of torchvision's data sets")
    options = parser.parse_args(arguments)
    return options.model, load_data(options.data, options.root)


def lacking(path: Path, wanted: list[Row]) -> list[Row]:
    """Those of `wanted` that a file of results does not have."""
    known = read_lines(path)
    return [row for row in wanted if not is_there(known, row)]


def seed_range(text: str) -> range:
    """FIRST:END, as an argument of a command."""
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:END, such as 0:5")
    return range(int(first), int(end))


def source(data: str, root: Path) -> Source:
    """MNIST, Fashion-MNIST or the symbols, whose test images have a file of their own."""
    if data != "symbols":
        return Source(data, str(root))
    train, test = (root / "symbols" / f"symbols-{kind}.npz" for kind in ("train", "test"))
    return Source(str(train), test=(str(test),))
