"""A private fit from images to a file: what it holds, what it refuses, and the command."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from benchmarks import private as benchmark
from benchmarks.common import read_lines
from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.errors import InputError, ModelFormatError, OutputExistsError
from vae_augment.exporters import export
from vae_augment.model.evidence import PRIVACY
from vae_augment.model.file import BUNDLED
from vae_augment.privacy.private_fit import fit_private
from vae_augment.training import FitConfig, ImageData, fit
from vae_augment.training.base_checkpoint import BASE_CHECKPOINT_KEY, load_base_checkpoint

LOOSE = 1e5  # an epsilon at which the noise hardly shows


@pytest.fixture(scope="module")
def private(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(600, 1297))


@pytest.fixture(scope="module")
def checkpoint(
    private: ImageData, public_base: VAEModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("private") / "private.safetensors"
    fit_private(private, path, epsilon=LOOSE, public=public_base)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VAEModel:
    export(checkpoint, checkpoint.with_suffix(".onnx"))
    return load(checkpoint.with_suffix(".onnx"), provider="cpu")


def test_with_little_noise_samples_are_like_their_class(
    model: VAEModel, private: ImageData
) -> None:
    assert model.spec.classes == private.classes
    images, labels = model.sample(400, seed=1)
    assert labels is not None
    for label in (0, 1, 7):
        real = private.images[private.labels == label].float().mean(0) / 255
        made = images[labels == label].mean(0)
        others = private.images[private.labels != label].float().mean(0) / 255
        assert (made - real).norm() < (made - others).norm()


def test_the_file_says_what_was_promised_and_what_was_public(
    model: VAEModel, public_base: VAEModel
) -> None:
    entry = model.spec.evidence[PRIVACY]
    assert entry["epsilon"] == LOOSE
    assert entry["delta"] == 1e-6  # a power of ten, at most 1 / 697^2
    assert entry["adjacency"] == "one labelled image added or removed"
    assert public_base.name in entry["public"]
    assert set(entry["clipping"]) == {"vector", "difference"}
    assert "dp-accounting" in entry["accountant"]
    assert entry["weights_sha256"] == model.weights_sha256


def test_nothing_else_of_the_images_is_in_the_checkpoint(
    checkpoint: Path, private: ImageData, public_base: VAEModel
) -> None:
    with safetensors.safe_open(checkpoint, framework="np") as file:
        names = set(file.keys())
        facts = json.loads(file.metadata()[BASE_CHECKPOINT_KEY])
        base = file.get_tensor("base.content").tobytes()
        assert file.get_tensor("latents.bank").size == 0
        assert file.get_tensor("latents.weights").shape == (10, 1)
    assert names == {
        "base.content",
        *(f"latents.{name}" for name in ("weights", "means", "scales")),
        *(f"latents.{name}" for name in ("bank", "bank_given_label", "bank_labels")),
    }
    assert base == public_base.file.content
    training = json.loads(facts["vae_augment.spec"])["training"]
    assert set(training) == {"data", "base", "base_sha256"}
    # As a number of its own: digests may have the same digits in them.
    assert not re.search(rf"\b{len(private)}\b", json.dumps(facts))
    assert private.digest not in json.dumps(facts)


def test_no_two_fits_have_the_same_noise(
    private: ImageData, public_base: VAEModel, tmp_path: Path
) -> None:
    found = []
    for number in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        path = tmp_path / f"{number}.safetensors"
        spec = fit_private(private, path, epsilon=1, public=public_base).spec
        assert spec.latents is not None
        found.append(spec.latents)
    assert not (found[0].means == found[1].means).any()
    assert not (found[0].scales[..., 0, 0] == found[1].scales[..., 0, 0]).any()


def test_a_model_without_classes(private: ImageData, public_base: VAEModel, tmp_path: Path) -> None:
    unlabelled = dataclasses.replace(
        private, labels=torch.full_like(private.labels, -1), classes=()
    )
    spec = fit_private(unlabelled, tmp_path / "one.safetensors", epsilon=1, public=public_base).spec
    assert spec.latents is not None
    assert spec.latents.weights.shape == (1, 2)


def test_what_is_not_private_or_not_public_is_refused(
    private: ImageData,
    digits: ImageData,
    public_base: VAEModel,
    tiny_model: VAEModel,
    public_digits: ImageData,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.safetensors"
    partly = dataclasses.replace(
        private, labels=private.labels.clone().index_fill(0, torch.tensor([3]), -1)
    )
    cases = [
        (private, tiny_model, {}, "takes labels or redraws images"),
        (public_digits, public_base, {}, "was trained on these very images"),
        (partly, public_base, {}, "has images without a label"),
        (private, load("objects", provider="cpu"), {}, r"the base 'objects' takes \(1, 28, 28\)"),
        (private, public_base, {"epsilon": 0.0}, "epsilon is 0.0; it must be greater"),
        (private, public_base, {"delta": 1.0}, "delta is 1.0; it must lie"),
    ]
    for data, base, changes, message in cases:
        with pytest.raises(InputError, match=message):
            fit_private(data, path, **({"epsilon": 1.0, "public": base} | changes))
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        fit_private(private, path, epsilon=1, public=public_base)
    assert path.read_text() == "precious"


def test_a_damaged_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[-20] ^= 1
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(ModelFormatError, match="cannot be read as a checkpoint"):
        load_base_checkpoint(damaged)


def test_other_files_are_no_base_checkpoints(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert load_base_checkpoint(tiny_checkpoint) is None
    (tmp_path / "text").write_text("text")
    assert load_base_checkpoint(tmp_path / "text") is None


def test_the_command_says_what_it_means(
    public_base: VAEModel, digits: ImageData, tmp_path: Path
) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, images=digits.images[600:, 0].numpy(), labels=digits.labels[600:].numpy())
    output = tmp_path / "private.safetensors"
    command = ["fit", data, "-o", output, "--epsilon", 2, "--public", public_base.path]
    code, text = run(*command)
    assert code == 0, text
    assert text.startswith("differential privacy for each image with epsilon 2 and delta 1e-06")
    assert "it does not mean" in text
    assert run("export", output, "-o", tmp_path / "private.onnx")[0] == 0
    _, shown = run("info", tmp_path / "private.onnx")
    assert "privacy     differential privacy for each image with epsilon 2" in shown
    assert run(*command)[0] == 1  # the output is there
    at_once = tmp_path / "at_once.onnx"
    code, text = run("fit", data, "-o", at_once, "--epsilon", 2, "--public", public_base.path)
    assert code == 0, text
    assert load(at_once, provider="cpu").spec.evidence[PRIVACY]["epsilon"] == 2
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".safetensors", ".onnx"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epsilon", 1], "--epsilon and --public go together"),
        (["--public", "strokes"], "--epsilon and --public go together"),
        (["--epsilon", 1, "--public", "strokes", "--epochs", 3], "--epochs does not go with"),
        (["--epsilon", 1, "--public", "strokes", "--held-out", 0.1], "--held-out does not go with"),
        (["--epsilon", 1, "--public", "strokes", "--keep-bank"], "--keep-bank does not go with"),
    ],
)
def test_options_that_would_leak_are_refused(
    options: list[object], message: str, tmp_path: Path
) -> None:
    code, text = run("fit", "digits", "-o", tmp_path / "a.safetensors", *options)
    assert code == 1
    assert message in text
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("name", ["strokes", "objects"])
def test_the_bundled_bases_serve(name: str) -> None:
    assert name in BUNDLED
    base = load(name, provider="cpu")
    assert base.spec.image_shape == (1, 28, 28)
    assert not base.spec.conditional
    image = base.sample(3)[0]
    assert (base.reconstruct(image) - image).square().mean() < 0.02


def test_an_own_base_is_an_unconditional_fit(tmp_path: Path, public_digits: ImageData) -> None:
    """As docs/privacy.md says."""
    fit(
        public_digits,
        tmp_path / "base.safetensors",
        FitConfig(network="mlp", epochs=1, conditional=False),
    )
    export(tmp_path / "base.safetensors", tmp_path / "base.onnx")
    assert not load(tmp_path / "base.onnx").spec.conditional


def test_the_benchmark_measures_a_row_once(
    public_base: VAEModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "SAMPLES", 100)
    results = tmp_path / "r.jsonl"
    for _ in range(2):
        benchmark.main("digits", str(public_base.path), results, epsilon=[1.0], seed=[0], updates=2)
    (row,) = read_lines(results)
    assert 0 < row["accuracy"] < 100
    assert benchmark.table([row])[0].startswith(f"| digits | `{public_base.path.stem}` | 1 | ")
