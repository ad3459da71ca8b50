"""Images that only measure: the best weights are kept, and training stops."""

from dataclasses import replace
from pathlib import Path

import torch

from tests.training.helpers import SMALL, same_weights
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    save_checkpoint,
)
from vae_augment.training.trainer import Trainer


def test_held_out_images_stop_training_and_the_best_epoch_is_kept(
    digits: ImageData, tmp_path: Path
) -> None:
    config = FitConfig(
        network="mlp",
        conditional=False,
        epochs=60,
        batch_size=64,
        learning_rate=2e-2,
        held_out=0.5,
        patience=2,
    )
    losses: list[float] = []
    checkpoint = fit(
        digits.subset(torch.arange(60)),
        tmp_path / "a.safetensors",
        config,
        report=lambda e: losses.append(e.held_out or 0),
    )
    assert len(losses) < 60
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2
    assert checkpoint.spec.training["best_epoch"] == best
    assert checkpoint.spec.training["epochs_run"] == len(losses)


def test_held_out_run_resumes_to_the_same_weights(few: ImageData, tmp_path: Path) -> None:
    config = replace(SMALL, held_out=0.25)
    whole = fit(few, tmp_path / "whole.safetensors", config)
    trainer = Trainer(few, config)
    for _ in range(trainer.steps_per_epoch):
        trainer.update()
    trainer.measure_held_out()
    part = tmp_path / "part.safetensors"
    save_checkpoint(trainer.checkpoint(), part)
    assert same_weights(whole.weights, fit(few, part, config).weights)
