"""A budget of minutes: how many updates it holds, and that a run keeps to it."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.helpers import SMALL, same_weights
from vae_augment.errors import InputError
from vae_augment.training import (
    Epoch,
    FitConfig,
    ImageData,
    fit,
    fitting,
    holds_same_run,
    load_checkpoint,
    save_checkpoint,
    timing,
)
from vae_augment.training.timing import Deadline, Estimate, Speed, in_words
from vae_augment.training.trainer import Trainer

BUDGET = replace(SMALL, epochs=None, minutes=0.02)


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def timed_updates(trainer: Trainer, clock: Clock, count: int, seconds: float) -> None:
    for _ in range(count):
        trainer.step += 1
        clock.now += seconds


def fit_and_stop(data: ImageData, path: Path, config: FitConfig) -> None:
    """Leave a run at `path` that was stopped in its first epoch."""

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(data, path, config, report=stop)


def test_a_plan_fills_the_minutes_at_the_speed_that_was_measured(
    few: ImageData, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update(trainer: Trainer) -> None:
        timed_updates(trainer, clock, 1, 0.5)

    monkeypatch.setattr(Trainer, "update", update)
    updates = Deadline(10.0).plan(few, BUDGET)
    measured = 0.5 * 3 + 10.0  # three updates that do not count, and ten seconds
    expected = (0.92 * 600 - measured) / 0.5 - 4 / 3  # encoding costs a third of an epoch of 4
    assert updates == int(expected)


def test_a_run_on_a_machine_that_gets_slower_ends_in_time(few: ImageData, clock: Clock) -> None:
    trainer = Trainer(few, BUDGET, updates=1000)
    deadline = Deadline(10.0)
    speed = Speed(trainer)
    while not trainer.is_finished:
        timed_updates(trainer, clock, 1, 0.5 if trainer.step < 300 else 1.0)
        deadline.adjust(trainer, speed)
    assert 100 + 0.85 * 600 < clock.now < 100 + 600
    assert trainer.facts["updates"] == trainer.total_steps == trainer.objective.total_steps
    assert trainer.facts["epochs"] == trainer.epochs == trainer.epoch


def test_a_run_of_the_default_is_shortened_only_where_it_takes_too_long(
    few: ImageData, clock: Clock
) -> None:
    said: list[str] = []
    config = replace(SMALL, epochs=None)
    trainer = Trainer(few, config)
    planned = trainer.total_steps
    assert planned == 1500
    deadline, speed = Deadline(30.0, said.append), Speed(trainer)
    while not trainer.is_finished:
        timed_updates(trainer, clock, 1, 1.0)
        deadline.adjust(trainer, speed)
    assert trainer.total_steps == planned
    assert "updates" not in trainer.facts
    assert said == []

    trainer = Trainer(few, config)
    deadline, speed = Deadline(30.0, said.append), Speed(trainer)
    start = clock.now
    while not trainer.is_finished:
        timed_updates(trainer, clock, 1, 2.0)
        deadline.adjust(trainer, speed)
    assert 0.9 * 1800 < clock.now - start < 1800
    assert trainer.facts["updates"] == trainer.total_steps < planned
    assert said == [
        "shortened to about 826 updates, which end within 30 minutes; with --epochs 375 and "
        "--overwrite it makes all 1,500"
    ]


def test_a_run_that_is_fast_again_makes_all_that_was_planned(few: ImageData, clock: Clock) -> None:
    trainer = Trainer(few, replace(SMALL, epochs=None))
    deadline, speed = Deadline(30.0, lambda text: None), Speed(trainer)
    totals = set()
    while not trainer.is_finished:
        timed_updates(trainer, clock, 1, 1.5 if trainer.step < 160 else 0.1)
        deadline.adjust(trainer, speed)
        totals.add(trainer.total_steps)
    assert min(totals) < max(totals) == trainer.total_steps == 1500


def test_a_budget_that_is_spent_ends_the_run_at_the_next_step(few: ImageData, clock: Clock) -> None:
    trainer = Trainer(few, BUDGET, updates=100)
    deadline = Deadline(1.0)
    speed = Speed(trainer)
    timed_updates(trainer, clock, 20, 60.0)
    deadline.adjust(trainer, speed)
    assert trainer.total_steps == 21


def test_a_run_with_minutes_says_what_it_did(few: ImageData, tmp_path: Path) -> None:
    numbers: list[int] = []
    facts = fit(
        few, tmp_path / "a.safetensors", BUDGET, report=lambda epoch: numbers.append(epoch.number)
    ).spec.training
    assert facts["minutes"] == 0.02
    assert facts["epochs"] == facts["epochs_run"] == numbers[-1]
    assert 4 * (facts["epochs"] - 1) < facts["updates"] <= 4 * facts["epochs"]
    assert numbers == list(range(1, numbers[-1] + 1))


def test_a_resumed_run_keeps_its_number_of_updates(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    config = replace(SMALL, epochs=None, minutes=0.2)
    fit_and_stop(few, path, config)
    trainer = Trainer(few, config, updates=7)
    trainer.resume(load_checkpoint(path))
    trainer.change_total_steps(7)
    save_checkpoint(trainer.checkpoint(), path)
    resumed = fit(few, path, config)
    assert resumed.spec.training["updates"] == 7
    assert resumed.spec.training["epochs_run"] == 2


def test_a_shortened_run_is_resumed_by_the_same_call(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    config = replace(SMALL, epochs=None)

    def stop(epoch: Epoch) -> None:
        if epoch.epochs < 375:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fitting, "MOST_MINUTES", 0.005)
    with pytest.raises(KeyboardInterrupt):
        fit(few, path, config, report=stop)
    shortened = load_checkpoint(path).spec.training["updates"]
    assert shortened < 1500
    assert holds_same_run(path, few, config)
    resumed = fit(few, path, config)
    assert resumed.spec.training["updates"] == shortened
    assert holds_same_run(path, few, config)


def test_a_run_with_minutes_is_not_resumed_without(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    fit_and_stop(few, path, BUDGET)
    with pytest.raises(InputError, match=r"other settings: minutes 0\.02, now None\. Give the"):
        fit(few, path, replace(SMALL, epochs=None))


def test_other_minutes_are_named_without_what_follows_from_them(
    few: ImageData, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    fit_and_stop(few, path, SMALL)
    with pytest.raises(InputError, match=r"other settings: minutes None, now 0\.02\. Give the"):
        fit(few, path, BUDGET)


def test_epochs_give_the_same_weights_as_ever(few: ImageData, tmp_path: Path) -> None:
    whole = fit(few, tmp_path / "a.safetensors", SMALL)
    assert "updates" not in whole.spec.training
    assert "minutes" not in whole.spec.training
    assert same_weights(whole.weights, fit(few, tmp_path / "b.safetensors", SMALL).weights)


def test_an_estimate_is_said_once_and_only_where_it_is_worth_a_line(
    few: ImageData, clock: Clock
) -> None:
    said: list[str] = []
    trainer = Trainer(few, replace(SMALL, epochs=1000))
    estimate, speed = Estimate(said.append), Speed(trainer)
    for _ in range(10):
        timed_updates(trainer, clock, 1, 1.0)
        estimate.tell(trainer, speed)
    assert said == [
        "about 67 minutes of training are left, at 1.0 updates per second; with --minutes 30 and "
        "--overwrite it ends sooner"
    ]
    said.clear()
    estimate, speed = Estimate(said.append, Deadline(30.0)), Speed(trainer)
    timed_updates(trainer, clock, 4, 1.0)
    estimate.tell(trainer, speed)
    assert said == ["about 28 minutes of training are left, at 1.0 updates per second"]
    said.clear()
    estimate, speed = Estimate(said.append), Speed(trainer)
    trainer.step = trainer.total_steps - 5
    timed_updates(trainer, clock, 4, 1.0)
    estimate.tell(trainer, speed)
    assert said == []


def test_lengths_of_time_in_words() -> None:
    assert [in_words(seconds) for seconds in (50, 500, 50_000)] == [
        "50 seconds",
        "8 minutes",
        "13.9 hours",
    ]
