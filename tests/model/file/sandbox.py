"""Load files in throw-away processes and tell how each one ended, for tests or as a script.

    python tests/model/file/sandbox.py < list_of_paths.json

One helper process has everything imported and forks a child a file, so that a crash, a hang or a
memory bomb ends the child and nothing else.
"""

import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SECONDS = 2.0
MEGABYTES = 300
BATCHES = (1, 3, 7, 64, 257)  # those that the loader's own check does not try
HANG = 20.0  # by the clock, as against processor seconds, so that a busy machine fails nobody


@dataclass(frozen=True)
class Verdict:
    """How one file ended.

    Attributes:
        outcome: "accepted", the class of our own error, or "foreign: ...", "crash: ..." or "hang".
        message: of the error.
        opened: whether onnxruntime saw it.
        batch: the number of images that it was last run on; 0 = it was not run beyond the probe.
        seconds, megabytes: processor time and memory it took, beyond what the process had before.
    """

    path: str
    outcome: str
    message: str = ""
    opened: bool = False
    batch: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def is_tame(self) -> bool:
        """Whether it was loaded and run, or refused with our own error, within the limits."""
        wild = self.outcome == "hang" or self.outcome.startswith(("foreign", "crash"))
        return not wild and self.seconds < SECONDS and self.megabytes < MEGABYTES


def verdicts(paths: list[Path], timeout: float = 600) -> list[Verdict]:
    """Load every path in a child process of its own."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        Verdict(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")
    ]


def _main() -> None:
    for name in (
        "onnx.reference",
        "onnx.utils",
        "onnxruntime",
        "torch",
        "vae_augment.model.vae_model",
    ):
        importlib.import_module(name)  # once here, not in every child
    for path in json.load(sys.stdin):
        sys.stdout.write(json.dumps(asdict(_in_child(path))) + "\n")
        sys.stdout.flush()


def _in_child(path: str) -> Verdict:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(_load(path)).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], HANG)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if text:
        return Verdict(path, **json.loads(text))
    outcome = f"crash: status {status}" if ready else "hang"
    return Verdict(path, outcome)


def _load(path: str) -> dict[str, Any]:
    import onnxruntime

    from vae_augment import VAEAugmentError, load

    _limit_memory()
    opened: list[object] = []
    real = onnxruntime.InferenceSession
    onnxruntime.InferenceSession = lambda *args, **kwargs: opened.append(0) or real(*args, **kwargs)
    before = _peak()
    start = time.process_time()
    outcome = "accepted"
    message = ""
    batch = 0
    try:
        model = load(path, provider="cpu", threads=1)
        model.probe()
        for batch in BATCHES:
            _run(model, batch)
    except VAEAugmentError as error:
        outcome = type(error).__name__
        message = str(error)[:500]
    except BaseException as error:
        outcome = f"foreign: {type(error).__name__}"
        message = str(error)[:500]
    seconds = time.process_time() - start
    return {
        "outcome": outcome,
        "message": message,
        "opened": bool(opened),
        "batch": batch,
        "seconds": seconds,
        "megabytes": _peak() - before,
    }


def _run(model: Any, batch: int) -> None:
    import torch

    spec = model.spec
    # Ones, because kernels that trip over integers do so over a pixel that is exactly 1.
    image = (
        torch.ones(batch, *spec.image_shape) if batch % 2 else torch.rand(batch, *spec.image_shape)
    )
    label = torch.randint(-1, len(spec.classes), (batch,)) if spec.conditional else None
    noise = torch.randn(batch, spec.latent_dim)
    inputs = {"image": image, "noise": noise, "strength": torch.ones(batch)}
    model.run("whole", inputs | model.label_input(label, batch))
    model.encode(image, label)
    model.decode(noise, label, image)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 4 * MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    _main()
