"""What every benchmark needs: the facts of the machine, medians, and a JSON file."""

import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("torch", "torchvision", "onnxruntime", "numpy")}
    capabilities = torch.cpu.get_capabilities()
    return {
        "cpu": capabilities.get("cpu_name", platform.processor()),
        "cores": capabilities.get("num_physical_cores"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions,
    }


def seconds(run: Callable[[], Any], repeats: int, warm_up: int = 1) -> dict[str, float]:
    """Median and quartiles of the seconds that `run` takes."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    low, _, high = quantiles(times, n=4) if len(times) > 1 else (times[0],) * 3
    return {"median": median(times), "lower_quartile": low, "upper_quartile": high}


def save(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(machine() | result, indent=2) + "\n")
