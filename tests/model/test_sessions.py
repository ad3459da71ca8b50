"""Sessions and workers: fork after use, spawn, forkserver, persistent workers, threads, CUDA.

A hang is what these tests look for, so each has a hard time limit.
"""

import multiprocessing
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vae_augment import VAEAugment, VAEAugmentError, VAEModel, VAESyntheticDataset, load
from vae_augment.errors import ProviderError
from vae_augment.model.sessions import _spinning

SHAPE = (1, 8, 8)
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
pytestmark = pytest.mark.timeout(60)


class Same(Dataset[Tensor]):
    """One image again and again, augmented."""

    def __init__(self, augment: VAEAugment, length: int = 8) -> None:
        self.augment, self.length = augment, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        return self.augment(torch.full(SHAPE, 0.5))


class Probe(Dataset[Any]):
    """What a worker finds in its own process after it has used the model."""

    def __init__(self, model: VAEModel, inherited: Any = None) -> None:
        self.model, self.inherited = model, inherited

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.model.sample(4)
        options = self.model._graph.sessions["decoder"].get_session_options()
        return {
            "threads": options.intra_op_num_threads,
            "spinning": options.get_session_config_entry("session.intra_op.allow_spinning"),
            "inherited lives": self.inherited is None or self.inherited() is not None,
            "own session": self.inherited is None
            or self.inherited() is not self.model._graph.sessions["decoder"],
        }


def batches(dataset: Dataset[Any], context: str, workers: int = 2, **options: Any) -> list[Any]:
    return list(loader(dataset, context, workers, **options))


def loader(
    dataset: Dataset[Any], context: str, workers: int = 2, **options: Any
) -> DataLoader[Any]:
    return DataLoader(
        dataset, num_workers=workers, multiprocessing_context=context, timeout=40, **options
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_fork_after_use_in_the_parent(tiny_model_path: Path, threads: int) -> None:
    model = load(tiny_model_path, threads=threads)
    data = VAESyntheticDataset(model, 40)
    expected = next(data.batches(40))[0]
    session = weakref.ref(model._graph.sessions["decoder"])
    for _ in range(2):
        images = torch.cat([images for images, _ in batches(data, "fork", batch_size=8)])
        assert torch.equal(images, expected)
    assert model._graph.sessions["decoder"] is session(), "the parent lost its session"


@pytest.mark.parametrize("threads", [1, 2])
def test_an_inherited_session_is_parked_and_a_worker_has_one_thread(
    tiny_model_path: Path, threads: int
) -> None:
    model = load(tiny_model_path, threads=threads)
    model.sample(4)
    session = weakref.ref(model._graph.sessions["decoder"])
    for found in batches(Probe(model, session), "fork", batch_size=None):
        assert found == {
            "threads": 1,
            "spinning": "0",
            "inherited lives": True,
            "own session": True,
        }
    assert session().get_session_options().intra_op_num_threads == threads


@pytest.mark.parametrize(
    ("threads", "version", "limit"),
    [(1, "1.32.0", None), (2, "1.25.1", None), (2, "1.26.0", "50"), (2, "2.0.0", "50")],
)
def test_a_pool_spins_only_for_a_limited_time(
    threads: int, version: str, limit: str | None
) -> None:
    found = _spinning(threads, version)
    assert found["session.intra_op.allow_spinning"] == ("1" if limit else "0")
    assert found.get("session.intra_op.spin_duration_us") == limit


def test_a_session_is_opened_once(tiny_model_path: Path) -> None:
    model = load(tiny_model_path)
    model.sample(4)
    session = model._graph.sessions["decoder"]
    model.sample(4)
    assert model._graph.sessions == {"decoder": session}


def test_a_model_dropped_in_a_child_takes_no_session_with_it(tiny_model_path: Path) -> None:
    model = load(tiny_model_path, threads=2)
    model.sample(4)
    pid = os.fork()
    if not pid:  # a hang or a crash here is seen below
        model.sample(4)
        del model
        os._exit(0)
    for _ in range(200):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hung")


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_spawned_workers_get_path_and_options_only(tiny_model_path: Path, context: str) -> None:
    if context == "forkserver":
        multiprocessing.set_forkserver_preload(["vae_augment"])  # imported once, not once a worker
    model = load(tiny_model_path, threads=2)
    data = VAESyntheticDataset(model, 20)
    expected = next(data.batches(20))[0]
    running = loader(data, context, workers=1, batch_size=10, persistent_workers=True)
    assert torch.equal(torch.cat([images for images, _ in running]), expected)
    data.set_epoch(1)
    again = torch.cat([images for images, _ in running])
    assert torch.equal(again, next(data.batches(20))[0])
    assert not torch.equal(again, expected)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_and_epochs_differ_and_a_seed_repeats_them(
    tiny_model_path: Path, persistent: bool
) -> None:
    augment = VAEAugment(tiny_model_path, p=1.0)
    augment(torch.full(SHAPE, 0.5))  # the session is there before the fork

    def two_epochs() -> Tensor:
        torch.manual_seed(0)
        running = loader(Same(augment), "fork", persistent_workers=persistent)
        return torch.cat([images for _ in range(2) for images in running])

    first = two_epochs()
    assert len(first.unique(dim=0)) == 16
    assert torch.equal(two_epochs(), first)


def test_persistent_workers_see_the_epoch(tiny_model_path: Path) -> None:
    data = VAESyntheticDataset(tiny_model_path, 40)
    running = loader(data, "fork", batch_size=10, persistent_workers=True)
    seen = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        seen.append(torch.cat([images for images, _ in running]))
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    data.set_epoch(1)
    assert torch.equal(seen[1], next(data.batches(40))[0])


def test_cuda_in_a_forked_worker_says_what_to_do(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    data = VAESyntheticDataset(tiny_model_path, 4, provider="cuda")
    with pytest.raises(ProviderError, match="multiprocessing_context='spawn'") as caught:
        batches(data, "fork", workers=1)
    assert (
        "CUDA was asked for in a forked worker, where it cannot start. Pass "
        "multiprocessing_context='spawn' to the DataLoader, or provider='cpu' here, or augment "
        "batches after the loader."
    ) in str(caught.value)


def test_auto_falls_back_to_the_cpu_in_a_forked_worker(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = next(VAESyntheticDataset(tiny_model_path, 4).batches(4))[0]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    data = VAESyntheticDataset(tiny_model_path, 4)
    assert data.model.device_type == "cuda"
    assert torch.equal(batches(data, "fork", workers=1, batch_size=4)[0][0], expected)


def test_a_provider_that_is_not_there_says_how_to_get_it(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(VAEAugmentError) as caught:
        VAEAugment(tiny_model_path, provider="cuda")
    assert str(caught.value) == (
        "CUDAExecutionProvider was asked for, but this onnxruntime has only CPUExecutionProvider. "
        "For CUDA: pip uninstall onnxruntime, then pip install onnxruntime-gpu. To run anyway: "
        "provider='cpu'."
    )


SCRIPT = """
import sys
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset
from vae_augment import MixedDataset, VAESyntheticDataset

class Digits(TensorDataset):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image, int(label)

if __name__ == "__main__":
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    real = Digits(images, torch.tensor(digits.target))
    synthetic = VAESyntheticDataset(sys.argv[1], length=len(real))
    mixed = MixedDataset(real, synthetic, synthetic_fraction=0.5)
    loader = DataLoader(mixed, batch_size=64, num_workers=2)
    images, labels = next(iter(loader))
    print(images.shape, labels.shape, images.double().sum().item(), labels.tolist())
"""


@pytest.mark.slow
def test_twenty_lines_give_the_same_first_batch_twice(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    script = tmp_path / "mix.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script), str(tiny_model_path)]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first.startswith("torch.Size([64, 1, 8, 8]) torch.Size([64])")
    assert first == second


def test_onnxruntime_is_told_to_send_nothing() -> None:
    """It reads the variable once, when it is imported."""
    code = """if True:
        import builtins, os, sys
        from vae_augment import load

        plain = builtins.__import__
        seen = []

        def watched(name, *arguments, **options):
            if name == "onnxruntime" and "onnxruntime" not in sys.modules:
                seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
            return plain(name, *arguments, **options)

        builtins.__import__ = watched
        load("mnist").sample(1)
        assert seen == ["1"], seen
        """
    unset = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=unset, timeout=120, check=True)
