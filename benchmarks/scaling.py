"""The part of `throughput.py` that asks how cost grows, each figure in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

GENERATE = """
import json, resource, sys, time
from vae_augment import VAESyntheticDataset, load
data = VAESyntheticDataset(load(sys.argv[1], provider="cpu"), int(sys.argv[2]))
times = []
for repeat in range(int(sys.argv[3]) + 1):
    start = time.perf_counter()
    for images, labels in data.batches(256):
        pass
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": sorted(times[1:])[len(times[1:]) // 2], "peak_mb": peak}))
"""

START = """
import json, time
import torch, torchvision
from torchvision.transforms import v2
start = time.perf_counter()
from vae_augment import VAEAugment, VAESyntheticDataset, MixedDataset, load
imported = time.perf_counter()
augment = VAEAugment("mnist", p=1.0, provider="cpu")
made = time.perf_counter()
augment(torch.zeros(1, 28, 28, dtype=torch.uint8))
called = time.perf_counter()
print(json.dumps({"import": imported - start, "construction": made - imported, "first_image": called - made}))
"""


def measure(model: Path, most: int, repeats: int) -> dict[str, Any]:
    counts = [10**power for power in range(3, 7) if 10**power <= most]
    # After a warm-up, enough repeats to time the short ones and to have a median of the long ones.
    generated = [
        fresh(GENERATE, model, count, max(5, 20_000 // count)) | {"images": count}
        for count in counts
    ]
    starts = [fresh(START) for _ in range(repeats)]
    return {"generation": generated} | {
        name: median(start[name] for start in starts) for name in starts[0]
    }


def fresh(code: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
