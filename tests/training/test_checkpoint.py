"""Checkpoints of version 1, tests/data/checkpoint-1.safetensors, load, and their runs go on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from vae_augment.errors import ModelFormatError
from vae_augment.model.spec import SPEC_KEY
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from vae_augment.training.checkpoint import CHECKPOINT_KEY
from vae_augment.training.trainer import Trainer

GOLDEN = Path(__file__).parents[1] / "data" / "checkpoint-1.safetensors"


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with safetensors.safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()[CHECKPOINT_KEY])
    return facts, safetensors.torch.load_file(path)


def change_facts(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the metadata of a checkpoint, without its checksum."""
    facts, tensors = read(path)
    del facts["sha256"]
    change(facts)
    safetensors.torch.save_file(tensors, path, {CHECKPOINT_KEY: json.dumps(facts)})


def as_version_1(network: dict[str, Any], training: dict[str, Any]) -> Callable[[Any], None]:
    """The metadata as version 1 wrote them for the same network."""

    def change(facts: dict[str, Any]) -> None:
        facts["version"] = 1
        facts["network"] = network
        spec = json.loads(facts[SPEC_KEY])
        spec["training"] |= training
        facts[SPEC_KEY] = json.dumps(spec)

    return change


def test_a_checkpoint_of_version_1_loads_and_computes_what_it_did() -> None:
    assert read(GOLDEN)[0]["version"] == 1
    checkpoint = load_checkpoint(GOLDEN)
    assert checkpoint.is_finished
    assert checkpoint.network == {"network": "conv-small", "classes": 2}
    assert checkpoint.spec.training["network"] == "conv-small"
    assert not {"width", "objective", "condition"} & checkpoint.spec.training.keys()
    mean, logvar = checkpoint.build().encode(torch.linspace(0, 1, 16).view(1, 1, 4, 4))
    torch.testing.assert_close(mean, torch.tensor([[-0.0865, -0.0074]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(logvar, torch.tensor([[-0.0844, -0.0289]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "network", "training"),
    [
        (
            "mlp",
            {"network": "mlp", "width": "base", "classes": 0},
            {
                "network": "mlp",
                "width": "base",
                "objective": "cross-entropy",
                "condition": "nothing",
            },
        ),
        (
            "energy",
            {"network": "energy", "width": "base", "classes": 0},
            {"network": "conv", "width": "base", "objective": "energy", "condition": "nothing"},
        ),
        (
            "energy-small",
            {"network": "energy", "width": "small", "classes": 0},
            {"network": "conv", "width": "small", "objective": "energy", "condition": "nothing"},
        ),
        (
            "redrawing",
            {"network": "redrawing"},
            {"network": "conv", "width": "base", "condition": "image"},
        ),
    ],
)
def test_an_unfinished_run_of_version_1_is_resumed(
    name: str,
    network: dict[str, Any],
    training: dict[str, Any],
    digits: ImageData,
    tmp_path: Path,
) -> None:
    few = digits.subset(torch.arange(60))
    config = FitConfig(network=name, latent_dim=2, epochs=2, batch_size=30)
    whole = fit(few, tmp_path / "whole.safetensors", config)
    trainer = Trainer(few, config)
    trainer.update()
    path = tmp_path / "old.safetensors"
    save_checkpoint(trainer.checkpoint(), path)
    change_facts(path, as_version_1(network, training))
    assert read(path)[0]["version"] == 1
    resumed = fit(few, path, config)
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)
    assert resumed.spec.training == whole.spec.training


def test_a_checkpoint_of_a_newer_version_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    change_facts(path, lambda facts: facts.update(version=3))
    with pytest.raises(ModelFormatError, match="its checkpoint version is 3; this vae-augment rea"):
        load_checkpoint(path)
