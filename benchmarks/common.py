"""What every benchmark needs: the facts of the machine, medians, and a JSON file."""

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
from vae_augment.model.sessions import runtime_version

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn")
RESULTS = Path(__file__).parent / "results"
Spread = dict[str, float]
ALTERNATIVES = ("pythae", "kornia", "albumentations", "opencv-python-headless")


def seconds(run: Callable[[], Any], repeats: int, warm_up: int = 1) -> Spread:
    """Median and quartiles of the seconds that `run` takes."""
    for _ in range(warm_up):
        run()
    return spread([timed(run, 1) for _ in range(repeats)])


def rates(
    runs: Mapping[str, Callable[[], Any]], images: int, repeats: int, least: float
) -> dict[str, Spread]:
    """Images a second of each of `runs`, which handles `images` a call.

    They take turns, so that a slow minute of the machine falls on all of them; a turn lasts `least`
    seconds or more.
    """
    calls = {}
    for name, run in runs.items():
        first = timed(run, 1)  # the warm-up; what it makes long is timed again
        calls[name] = max(1, round(least / (first if first > least else timed(run, 1))))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run, calls[name]))
    return {name: spread([images / time for time in taken]) for name, taken in times.items()}


def timed(run: Callable[[], Any], calls: int) -> float:
    """Seconds a call."""
    start = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - start) / calls


def spread(values: list[float]) -> Spread:
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {"median": median(values), "lower_quartile": low, "upper_quartile": high}


def save(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps(machine(also=ALTERNATIVES) | result, indent=2) + "\n"
    )


def check_result(result: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless a result says on what it was measured, and its rows, where it has any, are whole."""
    missing = {"cpu", "cores", "threads", "python", "versions"} - result.keys()
    if missing:
        raise ValueError(f"The result does not say: {', '.join(sorted(missing))}.")
    for row in result.get("rows", []):
        rate = row.get("images_per_second", {"lower_quartile": 0, "median": 0, "upper_quartile": 0})
        ordered = [rate.get(key, -1) for key in ("lower_quartile", "median", "upper_quartile")]
        if not {"what", "name"} <= row.keys() or -1 in ordered or ordered != sorted(ordered):
            raise ValueError(f"This row is not whole: {row}.")


def machine(device: str = "cpu", also: Sequence[str] = ()) -> dict[str, Any]:
    """The processor, its threads and the versions, as JSON-ready values; for "cuda" the GPU's name too.

    The versions of the packages in `also` are added where they are installed.
    """
    installed = {distribution.name for distribution in metadata.distributions()}
    capabilities = torch.cpu.get_capabilities()
    facts = {
        "cpu": capabilities.get("cpu_name", platform.processor()),
        "cores": capabilities.get("num_physical_cores"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {
            name: metadata.version(name)
            for name in (*PACKAGES, *sorted(installed.intersection(also)))
        }
        | {"onnxruntime": runtime_version(), "vae-augment": __version__},
    }
    return facts | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
