"""`vae-augment compare`: on data of one's own, what it writes, and what it says in the end."""

import json
import math
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.helpers import run_command as run
from tests.model.file.attacks.kernels import not_finite_on_white
from vae_augment import VAEModel, load
from vae_augment.errors import InputError, UnsafeModelError, VAEAugmentError
from vae_augment.evaluation import comparison, experiment, vaes
from vae_augment.evaluation.comparison import _methods, compare
from vae_augment.evaluation.experiment import Draw, Run, run_groups
from vae_augment.evaluation.report import Estimate, advise, compare_best, estimate
from vae_augment.training import FitConfig, ImageData, load_data

METHODS = [
    "none",
    "affine+elastic",
    "thickness+affine+elastic",
    "flip+shift",
    "TrivialAugmentWide",
    "VAE",
    "thickness+affine+elastic+VAE",
    "flip+shift+VAE",
    "strong VAE",
    "thickness+affine+elastic+strong VAE",
    "flip+shift+strong VAE",
]
QUICK = ("--updates", 3, "--draws", 2, "--workers", 1)


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, VAEs of one pass over few images."""
    monkeypatch.setattr(vaes, "MOST", 2)


def write_folder(data: ImageData, folder: Path, count: int, start: int = 0) -> Path:
    """Class folders of RGB images."""
    for number in range(start, start + count):
        path = folder / f"digit {int(data.labels[number])}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[number, 0].numpy()).convert("RGB").save(path)
    return folder


def test_every_run_is_written(tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    code, text = run("compare", "digits", "--labels-per-class", "5", *QUICK, "-o", output)
    assert code == 0, text
    assert "22 classifiers of 3 updates" in text
    runs = json.loads(output.read_text())["runs"]
    assert [(entry["draw"], entry["method"]) for entry in runs] == [
        (draw, method) for draw in range(2) for method in METHODS
    ]
    assert {entry["regime"] for entry in runs} == {"5 labels"}
    assert "| strong VAE (VAE: labelled only) " in text
    assert text.count("\n| ") == 13


@dataclass(frozen=True)
class Waiting:
    """Two runs, of which the second only begins when the first has been noticed."""

    noticed: Path

    def runs(self) -> Iterator[str]:
        yield "first"
        deadline = time.monotonic() + 60
        while not self.noticed.exists():
            assert time.monotonic() < deadline, "the first run was not reported"
            time.sleep(0.05)
        yield "second"


def test_worker_processes_report_each_run_at_once(tmp_path: Path) -> None:
    found = []
    many = 10**12  # of which no more are started than there are groups
    for done in run_groups([Waiting(tmp_path / "noticed")], workers=many):  # type: ignore[list-item]
        found.append(done)
        (tmp_path / "noticed").touch()
    assert found == ["first", "second"]


def test_workers_leave_ctrl_c_to_their_parent_and_end_with_it(tmp_path: Path) -> None:
    found = run_groups([Waiting(tmp_path / "never noticed")], workers=2)  # type: ignore[list-item]
    has_started = threading.Event()

    def interrupt_children() -> None:
        while not has_started.wait(0.01):  # from the first moment of their start
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGINT)

    terminal = threading.Thread(target=interrupt_children)
    terminal.start()
    try:
        assert next(found) == "first"
    finally:
        has_started.set()
        terminal.join()
    start = time.monotonic()
    found.close()  # as Ctrl-C does
    assert time.monotonic() - start < 5
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_in_the_middle_of_starting_the_workers_comes_after_it(
    number: signal.Signals, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, submit = [], ProcessPoolExecutor.submit

    def interrupt() -> (
        None
    ):  # in a thread, because the system gives a signal to any thread that does not block it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.raise_signal(number)

    def submit_interrupted(*arguments: Any) -> Any:
        submitted.append(submit(*arguments))
        if len(submitted) == 1:
            terminal = threading.Thread(target=interrupt)
            terminal.start()
            terminal.join()
        return submitted[-1]

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_interrupted)
    found = run_groups([Waiting(Path("a")), Waiting(Path("b"))], workers=2)  # type: ignore[list-item]
    with pytest.raises(raised):
        next(found)
    assert len(submitted) == 2
    assert not multiprocessing.active_children()


def test_a_model_and_settings_of_the_users_own(digits: ImageData, tmp_path: Path) -> None:
    folder, model = tmp_path / "photos", tmp_path / "my.onnx"
    write_folder(digits, folder, 60)
    data = load_data(folder)
    config = FitConfig(epochs=1, latent_dim=2, network="conv-small")
    vaes.fit_and_export(data, model, config)
    options = ("--model", model, "--strength", 2, "--no-residual", *QUICK)
    code, text = run("compare", folder, *options, "-o", tmp_path / "r.json")
    assert code == 0, text
    assert "16 classifiers of 3 updates and no VAE to train" in text
    assert {entry["method"] for entry in json.loads((tmp_path / "r.json").read_text())["runs"]} == {
        *METHODS[:5],
        "VAE",
        "thickness+affine+elastic+VAE",
        "flip+shift+VAE",
    }
    assert "| VAE (VAE: given) " in text
    code, text = run("compare", "digits", "--model", model, *QUICK)
    assert code == 1
    assert text.rstrip().endswith(
        "The model my takes images of shape (3, 8, 8); those of digits have (1, 8, 8). Leave the "
        "model out, and one is trained on them, or resize them."
    )


def test_settings_are_written_as_a_user_writes_them() -> None:
    methods = _methods(False, "my.onnx", {"strength": 2.0, "residual": False}, (1, 8, 8), None)
    assert (
        methods[-1].use
        == "VAEAugment('my.onnx', strength=2.0, residual=False) after mirroring and shifting"
    )
    assert (
        _methods(False, None, None, (1, 8, 8), None)[5].use
        == "VAEAugment(MODEL) and no other augmentation"
    )


def test_the_first_draw_can_be_chosen(tiny_model_path: Path) -> None:
    all_draws = compare(
        "digits", model=tiny_model_path, labels_per_class=5, updates=2, draws=2, workers=1
    ).runs
    second = compare(
        "digits", model=tiny_model_path, labels_per_class=5, updates=2, draws=1, seed=1, workers=1
    ).runs
    assert [(run.draw, run.method, run.accuracy) for run in second] == [
        (run.draw, run.method, run.accuracy) for run in all_draws if run.draw == 1
    ]


def short_labelled_vae(draw: Draw) -> VAEModel:
    """`labelled_vae`, which a worker trains as briefly as this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vaes, "MOST", 2)
        return vaes.labelled_vae(draw)


def test_two_workers_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "labelled_vae", short_labelled_vae)
    one, two = (
        compare("digits", labels_per_class=5, updates=3, draws=2, workers=workers).runs
        for workers in (1, 2)
    )
    assert [(run.draw, run.method) for run in one] == [(run.draw, run.method) for run in two]
    assert [run.accuracy for run in one] == pytest.approx([run.accuracy for run in two], abs=1.0)


def test_own_images_are_split_by_class_for_each_draw(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 150)
    said: list[str] = []
    verdict = compare(
        folder, labels_per_class=4, pool=True, updates=2, draws=2, workers=1, say=said.append
    )
    assert [entry.method for entry in verdict.runs[: len(METHODS)]] == METHODS
    assert {entry.trained_on for entry in verdict.runs} == {"none", "pool"}
    assert said == [
        "40 labelled images and 30 to test on; 22 classifiers of 2 updates and 2 VAEs to train"
    ]


def test_test_images_of_their_own(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    parts = [write_folder(digits, tmp_path / str(start), 40, start) for start in (60, 100)]
    code, text = run(
        "compare",
        folder,
        "--updates",
        1,
        "--draws",
        1,
        "--test-data",
        parts[0],
        "--test-data",
        parts[1],
    )
    assert code == 0, text
    assert text.startswith("60 labelled images and 80 to test on; 11 classifiers")
    assert "One draw cannot tell a gain from luck" in text


def test_other_test_classes_are_refused(digits: ImageData, tmp_path: Path) -> None:
    folder = write_folder(digits, tmp_path / "photos", 60)
    other = write_folder(digits, tmp_path / "other", 3)
    code, text = run("compare", folder, "--test-data", other)
    assert code == 1
    assert (
        "The test images of other are (3, 8, 8) of the classes ('digit 0', 'digit 1', 'digit 2')"
        in text
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["digits", "--labels-per-class", "many"],
            "--labels-per-class is 'many'; give a number of at least 1, or all",
        ),
        (["digits", "--labels-per-class", 5000 * "9"], "--labels-per-class is '9999"),
        (["digits", "--labels-per-class", "0"], "labels_per_class is 0; it must be at least 1."),
        (
            ["digits", "--labels-per-class", "500"],
            "The class '0' has 128 images to train on, fewer than 500 labels",
        ),
        (["digits", "--pool"], "digits leaves no images for a pool"),
        (["digits", "--device", "tpu"], "device is 'tpu'; choose cpu or cuda"),
        (["nowhere"], "There is no data 'nowhere'"),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], message: str) -> None:
    code, text = run("compare", *arguments)
    assert code == 1
    assert text.startswith(f"error: {message}")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """No classifier and no VAE may be trained."""

    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("trained before the fault was found")

    monkeypatch.setattr(experiment, "train_classifier", train)
    monkeypatch.setattr(vaes, "fit", train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": True, "settings": {"strength": math.nan}},
            "`strength` should be a finite value",
        ),
        ({"settings": {"p": 2.0}}, "`p` should be a floating point value"),
        ({"settings": {"labels_getter": "default"}}, "VAEAugment found no labels in its inputs"),
        (
            {"model": "glyphs", "settings": {"residual": True}},
            "'glyphs' is conditioned on an image",
        ),
        (
            {"model": "mnist"},
            r"The model .*mnist.* takes images .*28\); those of digits have \(1, 8, 8\)",
        ),
        ({"seed": -1}, r"seed is -1; it must lie in 0\.\.2"),
        ({"seed": 2**64 - 1}, r"seed is 18446744073709551617; it must lie in 0\.\.2"),
        ({"draws": 10**12}, r"draws is 1000000000000; it must lie in 1\.\.2"),
        ({"updates": 10**12}, r"updates is 1000000000000; it must lie in 1\.\.2"),
        ({"labels_per_class": 2.5}, "labels_per_class is 2.5; it must be an integer"),
        ({"workers": 2.5}, "workers is 2.5; it must be an integer"),
    ],
)
def test_a_fault_is_found_before_the_training(
    arguments: dict[str, Any], message: str, untrained: None, tiny_model_path: Path
) -> None:
    if arguments.get("model") is True:
        arguments = arguments | {"model": tiny_model_path}
    with pytest.raises(VAEAugmentError, match=message):
        compare("digits", **({"labels_per_class": 5, "workers": 1} | arguments))


def test_a_model_that_fails_on_the_images_is_found_before_the_training(
    untrained: None, tiny_model_path: Path, tmp_path: Path
) -> None:
    model = not_finite_on_white(onnx.load(tiny_model_path), tmp_path)
    with pytest.raises(VAEAugmentError, match="not finite"):
        compare("digits", labels_per_class=5, model=model, settings={"residual": False}, workers=1)


def test_a_model_file_that_was_replaced_after_the_check_is_refused(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    def replace(path: Path) -> None:
        shutil.copy(load("glyphs").path, path)

    model = tmp_path / "model.onnx"
    shutil.copy(tiny_model_path, model)
    with pytest.raises(UnsafeModelError, match="it is not the file that was meant"):
        compare(
            "digits",
            labels_per_class=5,
            model=model,
            workers=1,
            updates=1,
            say=lambda text: replace(model),
        )


def test_images_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(
        InputError,
        match=r"a\.npz has 0 classes; a comparison needs labelled images of at least two",
    ):
        compare(tmp_path / "a.npz")


def test_a_class_of_one_image(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8), labels=np.array([0, 0, 0, 0, 1])
    )
    with pytest.raises(InputError, match=r"class '1' of a\.npz has 1 labelled images"):
        compare(tmp_path / "a.npz")


VAE = "thickness+affine+elastic+strong VAE"
USES = {VAE: "VAEAugment(MODEL, strength=3.0) after thickness, affine and elastic distortion"}


def runs(none: list[float], affine: list[float], vae: list[float]) -> list[Run]:
    methods = {
        ("none", "classical"): none,
        ("affine", "classical"): affine,
        ("thickness+affine+elastic+strong VAE", "VAE"): vae,
    }
    return [
        Run(
            "10",
            "photos",
            method,
            kind,
            "pool" if kind == "VAE" else "none",
            draw,
            1500,
            value,
            1.0,
        )
        for (method, kind), values in methods.items()
        for draw, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("vae", "first", "last"),
    [
        (
            [83.0, 84.1, 85.0],
            f"VAE augmentation helps on your data: {VAE}, +2.03 ± 0.23 points against affine.",
            "Use VAEAugment(MODEL, strength=3.0) after thickness, affine and elastic distortion.",
        ),
        (
            [79.0, 80.1, 81.0],
            f"VAE augmentation is harmful on your data: {VAE}, -1.97 ± 0.23",
            "Leave it out.",
        ),
        (
            [80.5, 83.0, 85.0],
            f"No measurable difference: {VAE}, +0.83 ± 4.94",
            "more draws or test images would narrow the interval.",
        ),
        (
            [83.0],
            "One draw cannot tell a gain from luck.",
            "Repeat the comparison with more draws.",
        ),
    ],
    ids=["helps", "harms", "neither", "one draw"],
)
def test_advice_follows_from_the_interval(vae: list[float], first: str, last: str) -> None:
    count = len(vae)
    text = advise(runs([70.0, 71.0, 72.0][:count], [81.0, 82.0, 83.0][:count], vae), USES)
    if count > 1:
        without, text, chosen = text.splitlines()
        assert without == (
            "Without a VAE, affine was chosen most often: +11.00 ± 0.00 points against no "
            "augmentation."
        )
        assert chosen.startswith(
            "On each draw, the methods compared are those that did best on the other draws"
        )
    assert text.startswith(first)
    assert text.endswith(last)


def test_methods_are_chosen_on_other_draws_than_they_are_judged_on() -> None:
    bases = {"none": {0: 50.0, 1: 50.0, 2: 50.0, 3: 50.0}}
    methods = {
        "lucky once": {0: 90.0, 1: 40.0, 2: 40.0, 3: 40.0},
        "steady": {0: 51.0, 1: 51.0, 2: 51.0, 3: 51.0},
    }
    found = compare_best(methods, bases)
    gains = [
        51 - 50,
        40 - 50,
        40 - 50,
        40 - 50,
    ]  # without draw 0 the steady one is best, else the lucky one
    assert found.gain.mean == sum(gains) / 4
    assert found.gain.half_width == pytest.approx(estimate(gains).half_width * math.sqrt(1 + 4 / 3))
    assert (found.method, found.base) == ("lucky once", "none")


def simulated(
    count: int, draws: int, generator: np.random.Generator
) -> dict[str, dict[int, float]]:
    """Methods whose accuracies are noise around the same mean."""
    values = 90 + generator.normal(size=(count, draws))
    return {f"method {number}": dict(enumerate(row)) for number, row in enumerate(values.tolist())}


@pytest.mark.parametrize(("classical", "with_vae"), [(5, 3), (1, 3), (5, 1)])
@pytest.mark.parametrize("draws", [3, 5])
def test_a_verdict_on_noise_is_as_rare_as_its_interval_says(
    classical: int, with_vae: int, draws: int
) -> None:
    generator = np.random.default_rng(0)
    found = [
        compare_best(
            simulated(with_vae, draws, generator), simulated(classical, draws, generator)
        ).gain
        for _ in range(600)
    ]
    assert 0.01 <= sum(abs(gain.mean) > gain.half_width for gain in found) / 600 <= 0.07


def judged(right: list[int], images: int) -> str:
    """The advice where two draws share their test images, of which each method gets so many right."""
    answers = [np.arange(images) < count for count in right]
    names = {"none": "classical", "affine": "classical", VAE: "VAE"}
    found = [
        Run("10", "photos", name, kind, "none", draw, 1500, 100 * float(answer.mean()), 1.0, answer)
        for (name, kind), answer in zip(names.items(), answers, strict=True)
        for draw in range(2)
    ]
    return advise(found, USES)


def test_few_test_images_get_no_verdict() -> None:
    assert (
        judged([15, 15, 10], 20)
        == "20 test images cannot tell a gain from luck. Give at least 100 to test on."
    )


def test_the_interval_holds_what_other_test_images_would_change() -> None:
    # Both draws lose the same 3 of 200 images: -1.5 points, with a standard error of 0.86.
    assert "-1.50 ± 1.68 points against no augmentation, in 2 draws." in judged(
        [190, 190, 187], 200
    )
    assert "harmful on your data: thickness+affine+elastic+strong VAE, -10.00 ± 4.16" in judged(
        [190, 190, 170], 200
    )


def test_the_interval_is_right_where_draws_share_their_test_images() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        shares = 0.8 + 0.2 * generator.random(
            300
        )  # each test image has its own chance, the same for both methods
        extra = generator.normal(0, 0.3, (2, 300))  # and its own liking for one of them
        correct = {
            (name, draw): generator.random(300) < np.clip(shares + extra[row], 0, 1)
            for row, name in enumerate(("one", "other"))
            for draw in range(10)
        }
        values = {
            name: {d: 100 * correct[name, d].mean() for d in range(10)} for name in ("one", "other")
        }
        gain = compare_best({"one": values["one"]}, {"other": values["other"]}, correct).gain
        wrong += abs(gain.mean) > gain.half_width
    assert wrong / 400 <= 0.05


def is_gain(found: Estimate) -> bool:
    return found.mean > found.half_width


def test_a_choice_in_hindsight_would_call_noise_a_gain_more_often() -> None:
    generator = np.random.default_rng(0)
    hindsight = fair = 0
    for _ in range(600):
        methods, bases = simulated(8, 5, generator), simulated(1, 5, generator)
        best = max(methods.values(), key=lambda values: sum(values.values()))
        base = bases["method 0"]
        hindsight += is_gain(estimate([best[draw] - base[draw] for draw in base]))
        fair += is_gain(compare_best(methods, bases).gain)
    assert fair <= 0.04 * 600
    assert hindsight > 3 * fair


def test_advice_where_nothing_beats_no_augmentation() -> None:
    text = advise(runs([80.0, 81.0], [70.0, 71.0], [60.0, 61.0]), USES)
    assert text.startswith("Without a VAE, no augmentation was chosen most often.\n")
    assert "-20.00 ± 0.00 points against no augmentation" in text


def test_a_choice_that_loses_is_not_said_to_do_best() -> None:
    plain, affine = (
        [80.0, 80.0, 80.0],
        [79.0, 79.0, 82.0],
    )  # chosen for the first two draws, where it loses
    text = advise(runs(plain, affine, [70.0, 70.0, 70.0]), USES)
    assert text.startswith("Without a VAE, affine was chosen most often: -0.67 ")
    assert "did best:" not in text
