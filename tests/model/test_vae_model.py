"""What a run of the network gives and raises: onnxruntime's failures become ours, others pass."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from torch.utils._python_dispatch import TorchDispatchMode

from vae_augment import VAEAugmentError, VAEModel, load
from vae_augment.errors import ModelFormatError

ALLOCATION_FAILURES = [
    "Non-zero status code returned while running Conv node. Status Message: std::bad_alloc",
    "Non-zero status code returned while running Conv node. Status Message: bad allocation",
    "bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of size 1",
    "CUDA failure 2: out of memory ; GPU=0",
]


class FailingSession:
    """A session whose every run raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, outputs: Any, inputs: Any) -> Any:
        raise self.error

    def get_provider_options(self) -> dict[str, Any]:
        return {}


def failing(path: Path, error: BaseException) -> VAEModel:
    model = load(path, provider="cpu")
    model._graph.sessions = dict.fromkeys(("whole", "encoder", "decoder"), FailingSession(error))
    return model


def latents(model: VAEModel, count: int) -> dict[str, torch.Tensor]:
    return {"latent": torch.zeros(count, model.spec.latent_dim)} | model.label_input(None, count)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_signal_handlers_exception_is_not_taken_for_a_damaged_file(tiny_model: VAEModel) -> None:
    def handler(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")

    inputs = latents(tiny_model, 100_000)
    tiny_model.run("decoder", latents(tiny_model, 1))
    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)  # once, within the run, which takes much longer
    try:
        with pytest.raises(RuntimeError, match="killed by signal") as caught:
            tiny_model.run("decoder", inputs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not isinstance(caught.value, VAEAugmentError)


@pytest.mark.parametrize("kind", [Fail, RuntimeException])
@pytest.mark.parametrize("message", ALLOCATION_FAILURES)
def test_a_failed_allocation_is_told_from_a_damaged_file(
    tiny_model_path: Path, kind: type[Exception], message: str
) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        failing(tiny_model_path, kind(message)).sample(3)
    assert type(caught.value) is VAEAugmentError  # and not ModelFormatError
    assert str(caught.value) == (
        f"onnxruntime ran out of memory: {message}. Use smaller batches or fewer DataLoader "
        "workers."
    )


def test_pythons_own_memory_error_is_one_of_ours(tiny_model_path: Path) -> None:
    with pytest.raises(VAEAugmentError, match=r"std::bad_alloc"):
        failing(tiny_model_path, MemoryError("std::bad_alloc")).sample(3)


@pytest.mark.parametrize("kind", [Fail, RuntimeException])
def test_another_failure_is_the_files(tiny_model_path: Path, kind: type[Exception]) -> None:
    with pytest.raises(ModelFormatError) as caught:
        failing(tiny_model_path, kind("Reshape node: the input cannot be reshaped")).sample(3)
    assert (
        str(caught.value)
        == f"{tiny_model_path} fails when run: Reshape node: the input cannot be reshaped"
    )


@pytest.mark.parametrize(
    "error", [TimeoutError("too late"), ValueError("not ours"), KeyboardInterrupt()]
)
def test_any_other_exception_passes(tiny_model_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        failing(tiny_model_path, error).sample(3)
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Fail("std::bad_alloc"), VAEAugmentError), (TimeoutError("too late"), TimeoutError)],
)
def test_opening_and_probing_tell_failures_apart_too(
    tiny_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: type[Exception],
) -> None:
    monkeypatch.setattr(
        "onnxruntime.InferenceSession", lambda *args, **options: FailingSession(error)
    )
    with pytest.raises(expected) as caught:
        load(tiny_model_path, provider="cpu").probe()
    assert type(caught.value) is expected

    def opened(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("onnxruntime.InferenceSession", opened)
    with pytest.raises(expected) as caught:
        load(tiny_model_path, provider="cpu").probe()
    assert type(caught.value) is expected


def test_a_part_that_failed_its_probe_is_probed_again(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = FailingSession(Fail("Reshape node: the input cannot be reshaped"))
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *args, **options: broken)
    model = load(tiny_model_path, provider="cpu")
    for _ in range(2):
        with pytest.raises(ModelFormatError, match="fails when run"):
            model.probe()
    assert not model._graph.sessions


LARGEST = np.iinfo(np.uint64).max


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.array([LARGEST, 1], np.uint64),
            f"The label {LARGEST} is no class index.",
        ),
        ([1, 2, 3], "labels of type torch.int64 and length 3 do not go with 2 images."),
        ([1.7, 2], "The label 1.7 is no class index."),
        ([1j, 2], "The labels are of type complex128."),
        (["a", "b"], "There is no class 'a'; there are 0..9: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
    ],
)
def test_labels_that_are_none_are_refused(
    tiny_model: VAEModel, labels: object, message: str
) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        tiny_model.encode(torch.rand(2, 1, 8, 8), labels)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int32])
def test_labels_of_any_type_of_integer(tiny_model: VAEModel, kind: type) -> None:
    images = torch.rand(2, 1, 8, 8)
    given = tiny_model.encode(images, np.array([3, 9], kind))[0]
    assert torch.equal(given, tiny_model.encode(images, torch.tensor([3, 9]))[0])


class Recorder(TorchDispatchMode):
    """Notes which operators of torch run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_torch_computes_nothing_in_a_run_on_the_cpu(tiny_model: VAEModel) -> None:
    inputs = {"image": torch.rand(256, 1, 8, 8)} | tiny_model.label_input(None, 256)
    tiny_model.run("encoder", inputs)
    with Recorder() as recorder:
        tiny_model.run("encoder", inputs)
    assert recorder.names <= {"detach", "_to_copy", "lift_fresh"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found(tiny_model: VAEModel, value: float) -> None:
    latent = torch.zeros(3, tiny_model.spec.latent_dim)
    assert tiny_model.decode(latent).isfinite().all()
    latent[1, 2] = value
    with pytest.raises(ModelFormatError, match="not finite"):
        tiny_model.decode(latent)


def test_loading_leaves_the_handlers_of_signals_alone(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tiny_model_path)
    monkeypatch.setattr(
        signal, "signal", None
    )  # C code may have handlers that Python would not restore
    load(tiny_model_path)


def test_an_image_stays_in_its_range(tiny_model: VAEModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sigmoid of onnxruntime gave 1.0000001, which binary_cross_entropy refuses."""
    above = np.nextafter(np.float32(1), np.float32(2))
    images = torch.full((1, *tiny_model.spec.image_shape), float(above))
    monkeypatch.setattr(tiny_model._graph, "run", lambda part, inputs: [images.clone()])
    latent = torch.zeros(1, tiny_model.spec.latent_dim)
    assert tiny_model.decode(latent).max() == 1
