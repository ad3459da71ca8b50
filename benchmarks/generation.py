"""How fast and in how much memory `generate` writes npz, beside `VAESyntheticDataset.batches`.

    python -m benchmarks.generation --count 102400    # ten even shards, as in docs/scale.md

The memory is that of all processes together, sampled ten times a second: the sum of their
proportional set sizes (PSS, which counts a shared page once) and, for comparison, of their resident
ones (RSS). Linux only. On a machine that does other work too, look at the processor time per image,
which others' work disturbs less than the clock.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from vae_augment import VAESyntheticDataset

DATASET_IMAGES = 51_200  # at most


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.workers)
    result = generated(options.model, options.count, options.workers)
    result |= by_dataset(options.model, min(options.count, DATASET_IMAGES))
    ratio = result["images_per_second"] / result["dataset_images_per_second"]
    print(json.dumps(result | {"ratio": round(ratio, 3)}, indent=1))


def by_dataset(model: str, count: int) -> dict[str, float]:
    """The rate and the processor time of the dataset, which stores nothing."""
    data = VAESyntheticDataset(model, count, output="uint8", provider="cpu")
    next(data.batches(128))
    start = time.perf_counter()
    used = time.process_time()
    for _ in data.batches(128):
        pass
    return {
        "dataset_images_per_second": round(count / (time.perf_counter() - start), 1),
        "dataset_cpu_us_per_image": round((time.process_time() - used) / count * 1e6, 1),
    }


def generated(model: str, count: int, workers: int) -> dict[str, float]:
    """Run the command as a user does, start and writing included, and watch its memory."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-n", str(count), "-o", f"{folder}/out", "--workers", str(workers), "--json"]
        command = [sys.executable, "-m", "vae_augment", "generate", model, *options]
        start = time.perf_counter()
        used = children_seconds()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        pss, rss = watch(process)
        output, _ = process.communicate()
        seconds = time.perf_counter() - start
        used = children_seconds() - used
    facts = json.loads(output)
    return {
        "images": facts["images"],
        "workers": workers,
        "bytes_per_image": round(facts["bytes"] / count, 1),
        "seconds": round(seconds, 1),
        "images_per_second": round(count / seconds, 1),
        "cpu_us_per_image": round(used / count * 1e6, 1),
        "peak_pss_mb": round(pss / 1e6, 1),
        "peak_rss_mb": round(rss / 1e6, 1),
    }


def children_seconds() -> float:
    """Processor time of all finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def watch(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """The largest PSS and RSS of the process and its descendants, in bytes."""
    most_pss = 0
    most_rss = 0
    while process.poll() is None:
        sizes = [memory(pid) for pid in family(process.pid)]
        most_pss = max(most_pss, sum(pss for pss, _ in sizes))
        most_rss = max(most_rss, sum(rss for _, rss in sizes))
        time.sleep(0.1)
    return most_pss, most_rss


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def memory(pid: int) -> tuple[int, int]:
    """PSS and RSS of one process, in bytes; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get("Pss", 0), sizes.get("Rss", 0)


if __name__ == "__main__":
    main()
