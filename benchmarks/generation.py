"""How fast and in how much memory `generate` writes npz, against `VAESyntheticDataset.batches` on the same cores.

    python benchmarks/generation.py            # 1,000,000 images: about five minutes on two cores
    python benchmarks/generation.py --quick    # 102,400 images: ten even shards

The memory is that of all processes together, sampled ten times a second: the sum of their
proportional set sizes (PSS, which counts a shared page once) and, for comparison, of their resident
ones (RSS). Linux only.

The ratio is of images a second by the clock. On a machine that does other work too, look at the
processor time an image as well, which others' work disturbs less.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATASET = """
import sys, time, torch
from vae_augment import VAESyntheticDataset
torch.set_num_threads(int(sys.argv[3]))
data = VAESyntheticDataset(sys.argv[1], int(sys.argv[2]), output="uint8", provider="cpu")
next(data.batches(128))
start = time.perf_counter()
for _ in data.batches(128):
    pass
print(len(data) / (time.perf_counter() - start))
"""


def main() -> None:
    options = parse()
    count = 102_400 if options.quick else options.count
    few = min(count, 51_200)
    used = cpu_seconds()
    reference = dataset_rate(options.model, few, options.workers)
    dataset_cpu, used = cpu_seconds() - used, cpu_seconds()
    result = generation(options.model, count, options.workers)
    result |= {"cpu_us_per_image": round((cpu_seconds() - used) / count * 1e6, 1)}
    result |= {"dataset_cpu_us_per_image": round(dataset_cpu / few * 1e6, 1)}
    result |= {"dataset_images_per_second": round(reference, 1)}
    result["ratio"] = round(result["images_per_second"] / reference, 3)
    print(json.dumps(result, indent=1))
    if options.output:
        Path(options.output).write_text(json.dumps(result, indent=1) + "\n")


def cpu_seconds() -> float:
    """Processor time of all finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", help="also write the result to this .json")
    return parser.parse_args()


def dataset_rate(model: str, count: int, threads: int) -> float:
    """Images a second of `VAESyntheticDataset.batches`, in a process of its own.

    Its start is not counted.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", DATASET, model, str(count), str(threads)]
    return float(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    )


def generation(model: str, count: int, workers: int) -> dict[str, float]:
    """Run the command as a user does, start and writing included, and watch its memory."""
    code = "from vae_augment.cli import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "generate",
            model,
            "-n",
            str(count),
            "-o",
            f"{folder}/out",
            "--workers",
            str(workers),
            "--json",
        ]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        pss, rss = watch(process)
        seconds = time.perf_counter() - start
        facts = json.loads(process.stdout.read())  # type: ignore[union-attr]
    return {
        "images": facts["images"],
        "workers": workers,
        "bytes_per_image": round(facts["bytes"] / count, 1),
        "seconds": round(seconds, 1),
        "images_per_second": round(count / seconds, 1),
        "peak_pss_mb": round(pss / 1e6, 1),
        "peak_rss_mb": round(rss / 1e6, 1),
    }


def watch(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """The largest PSS and RSS of the process and its descendants, in bytes."""
    peak = (0, 0)
    while process.poll() is None:
        sizes = [memory(pid) for pid in family(process.pid)]
        peak = (
            max(peak[0], sum(pss for pss, _ in sizes)),
            max(peak[1], sum(rss for _, rss in sizes)),
        )
        time.sleep(0.1)
    return peak


def family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def memory(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get("Pss", 0), sizes.get("Rss", 0)


if __name__ == "__main__":
    main()
