"""Checkpoints: damaged ones are refused, and those of version 1 load and go on."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from tests.training.helpers import same_weights
from vae_augment.errors import ModelFormatError, VAEAugmentError
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
    config = FitConfig(network=name, latent_dim=2, conditional=False, epochs=2, batch_size=30)
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


def test_a_redrawing_network_of_an_earlier_version_is_refused(
    digits: ImageData, tmp_path: Path
) -> None:
    path = tmp_path / "old.safetensors"
    trainer = Trainer(digits.subset(torch.arange(60)), FitConfig(network="redrawing", epochs=1))
    save_checkpoint(trainer.checkpoint(), path)
    change_facts(path, lambda facts: facts.update(version=2))
    with pytest.raises(ModelFormatError, match="Train it again with --redraw, or export it with"):
        load_checkpoint(path)


def test_a_checkpoint_of_a_newer_version_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    change_facts(path, lambda facts: facts.update(version=4))
    with pytest.raises(ModelFormatError, match="its checkpoint version is 4; this vae-augment rea"):
        load_checkpoint(path)


def test_checkpoint_refusals(tmp_path: Path, few: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(ModelFormatError, match=r"is not a readable \.safetensors file"):
        load_checkpoint(path)
    import safetensors.torch

    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelFormatError, match="not a checkpoint of vae-augment fit"):
        load_checkpoint(path)


def with_facts(path: Path, facts: object) -> Path:
    import safetensors.torch

    text = facts if isinstance(facts, str) else json.dumps(facts)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"vae_augment.checkpoint": text})
    return path


@pytest.mark.parametrize(
    "facts",
    ["{", "[" * 100_000, "[]", {}, {"version": 3}, {"version": 4}, {"version": 3, "network": 3}],
)
def test_broken_facts_of_a_checkpoint_are_our_error(facts: object, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read as a checkpoint: "):
        load_checkpoint(with_facts(tmp_path / "a.safetensors", facts))


def test_no_flipped_bit_of_a_checkpoint_loads(tiny_checkpoint: Path, tmp_path: Path) -> None:
    content = tiny_checkpoint.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    generator, path = random.Random(0), tmp_path / "a.safetensors"
    for place in (
        *generator.sample(range(header), 60),
        *generator.sample(range(header, len(content)), 60),
    ):
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(VAEAugmentError):
            load_checkpoint(path)


def test_a_checkpoint_without_checksum_still_loads(tiny_checkpoint: Path, tmp_path: Path) -> None:
    import safetensors.torch

    with safetensors.safe_open(tiny_checkpoint, framework="pt") as file:
        facts = json.loads(file.metadata()["vae_augment.checkpoint"])
    del facts["sha256"]
    metadata = {"vae_augment.checkpoint": json.dumps(facts)}
    safetensors.torch.save_file(
        safetensors.torch.load_file(tiny_checkpoint), tmp_path / "a", metadata
    )
    assert same_weights(
        load_checkpoint(tmp_path / "a").weights, load_checkpoint(tiny_checkpoint).weights
    )
