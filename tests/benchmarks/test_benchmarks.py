"""Each benchmark runs in small, and the docs show what the committed results say."""

import json
import math
import statistics
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets

from benchmarks import (
    at_test_time,
    benefit,
    classifiers,
    common,
    consistency,
    defaults,
    figures,
    generation,
    glyph_images,
    latents,
    private,
    redrawing,
    samples,
    strength_units,
    strengths,
    throughput,
)
from tests.helpers import ROOT
from vae_augment import VAEModel, load
from vae_augment.evaluation.repetition import Repetition
from vae_augment.evaluation.splits import LoadedImages, Source
from vae_augment.exporters import export
from vae_augment.model.evidence import add_evidence
from vae_augment.training import FitConfig, ImageData, load_checkpoint, save_checkpoint

BENEFIT_PAGE = (ROOT / "docs" / "benefit.md").read_text()
EXPERIMENTS_PAGE = (ROOT / "docs" / "experiments.md").read_text()
RESIDUAL_PAGE = (ROOT / "docs" / "modes" / "residual.md").read_text()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_model: VAEModel) -> None:
    """Digits for all data, the tiny model for all VAEs, and as little training as possible."""

    def source(data: str, root: Path) -> Source:
        return Source("digits")

    def vae(*arguments: Any) -> VAEModel:
        return tiny_model

    for module in (benefit, defaults):
        monkeypatch.setattr(module, "source", source)
        monkeypatch.setattr(module, "labelled_vae", vae)
        monkeypatch.setattr(module, "UPDATES", 1)
    monkeypatch.setattr(benefit, "fit_model", vae)
    monkeypatch.setattr(benefit, "POOL_UPDATES", 5)
    one_seed = tuple(pair._replace(seeds=1) for pair in benefit.PAIRS)
    monkeypatch.setattr(benefit, "PAIRS", one_seed)


def test_benefit(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.jsonl"
    benefit.main([str(tmp_path), "--setting", "long tail", "--results", str(file)])
    some = common.read_lines(file)
    assert {row["setting"] for row in some} == {"long tail"}
    benefit.main([str(tmp_path), "--results", str(file)])
    rows = common.read_lines(file)
    assert rows[: len(some)] == some  # what is there is not measured again
    found = [figures.of_pair(pair, rows) for pair in benefit.PAIRS]
    assert all(0 < each.method_mean < 100 and each.gain.repetitions == 1 for each in found)
    assert rows[0]["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert "long tail mnist affine+elastic 0 " in capsys.readouterr().out


def test_the_long_tail_falls_from_1000_to_10() -> None:
    labels = torch.arange(10).repeat_interleave(1200)
    images = labels[:, None, None, None].to(torch.uint8)
    data = ImageData("d", images, labels, tuple("0123456789"))
    sizes = [benefit.long_tail(data, seed).labels.bincount().tolist() for seed in (0, 1)]
    assert sorted(sizes[0], reverse=True) == [1000, 599, 359, 215, 129, 77, 46, 28, 17, 10]
    assert sizes[0] != sizes[1]


def test_rare_classes_are_repeated(digits: ImageData) -> None:
    rare = digits.subset(torch.cat([torch.arange(10), (digits.labels == 3).nonzero()[:5, 0]]))
    images, labels = benefit.balanced_batch(Repetition(rare, digits, seed=0))
    counts = rare.labels.bincount()
    assert labels.bincount().tolist() == [counts.max()] * 10
    assert len(images[labels == 1].unique(dim=0)) == counts[1]


def test_the_long_tail_is_scored_by_class(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = next(pair for pair in benefit.PAIRS if pair.setting == "long tail")
    test = digits.subset(torch.arange(10))
    test.labels[:] = torch.tensor([0] * 8 + [1] * 2)
    monkeypatch.setattr(benefit, "method", lambda name, pair: benefit.Method(name))
    always_0 = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    always_0[1].bias.data[0] = 1e3
    monkeypatch.setattr(benefit.Method, "train", lambda self, repetition: always_0)
    two_classes = ImageData("two", test.images, test.labels, ("0", "1"))
    found = benefit.accuracy(Repetition(two_classes, two_classes, seed=0), "none", pair)
    assert found == 50


def test_defaults(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.jsonl"
    defaults.main([str(tmp_path), "--results", str(file)])
    assert len(common.read_lines(file)) == 3 * 2 * 4
    assert "| symbols, 100 " in capsys.readouterr().out


def test_samples(
    tiny_model_path: Path,
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    data = digits.subset(torch.arange(200))
    monkeypatch.setattr(samples, "load_data", lambda name, root, train=True: data)
    monkeypatch.setattr(samples, "SAMPLES", 50)
    file = tmp_path / "r.jsonl"
    command = [str(tiny_model_path), "digits", "", "--results", str(file), "--updates", "2"]
    samples.main([*command, "--seeds", "0:2"])
    samples.main([*command, "--seeds", "0:1", "--kinds", "samples", "both"])
    rows = common.read_lines(file)
    assert [(row["seed"], row["kind"]) for row in rows] == [
        (0, "real"),
        (0, "samples"),
        (1, "real"),
        (1, "samples"),
        (0, "both"),
    ]
    gain = statistics.fmean(rows[at + 1]["accuracy"] - rows[at]["accuracy"] for at in (0, 2))
    digest = load(tiny_model_path).weights_sha256[:8]
    expected = f"digits, small_cnn, 2 updates, samples of {digest} minus real: {gain:+.2f}"
    assert expected in capsys.readouterr().out


def test_real_images_and_samples_are_put_together(
    tiny_model: VAEModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SAMPLES", 50)
    black = torch.zeros(30, *tiny_model.spec.image_shape, dtype=torch.uint8)
    real = ImageData("real", black, torch.zeros(30, dtype=torch.int64), ("a",))
    images, labels = samples.training_batch("both", tiny_model, real, 1, "balanced")
    assert (len(images), images[50:].max(), labels[:4].tolist()) == (80, 0, [0, 1, 2, 3])
    made, _ = samples.training_batch("samples", tiny_model, real, 1, "balanced")
    assert torch.equal(made, images[:50])
    other, _ = samples.training_batch("samples", tiny_model, real, 2, "balanced")
    assert not torch.equal(made, other)


def test_samples_come_in_the_proportions_of_the_images(
    tiny_model: VAEModel, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SAMPLES", 50)
    sevens = digits.subset((digits.labels == 7).nonzero()[:30, 0])
    _, labels = samples.training_batch("samples", tiny_model, sevens, 0, "real")
    assert labels.tolist() == [7] * 50


@pytest.mark.parametrize("name", classifiers.CLASSIFIERS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28)])
def test_classifiers_take_images_and_give_logits(name: str, shape: tuple[int, int, int]) -> None:
    assert classifiers.CLASSIFIERS[name](shape, 5)(torch.rand(4, *shape)).shape == (4, 5)


class FewImages:
    """Grey images in the place of torchvision's MNIST."""

    def __init__(self, root: str, transform: Callable[[Image.Image], Any]) -> None:
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.new("L", (28, 28), index)), index % 10


def test_throughput(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def loader(data: Any) -> DataLoader[Any]:
        return DataLoader(data, 10)

    def measured(root: str | None, **usual: Any) -> list[dict[str, Any]]:
        return usual_measured(root, repeats=1, seconds=0, images=20)

    usual_measured = throughput.measured
    monkeypatch.setattr(datasets, "MNIST", FewImages)
    monkeypatch.setattr(throughput, "loader", loader)
    monkeypatch.setattr(throughput, "BATCH", 8)
    monkeypatch.setattr(throughput, "measured", measured)
    threads = torch.get_num_threads()
    try:
        throughput.main(["--root", "data", "--quick", "--output", str(tmp_path / "r.json")])
    finally:
        torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert len({row["what"] for row in rows}) == 6
    timed = [row for row in rows if "images_per_second" in row]
    assert all(row["images_per_second"]["median"] > 0 for row in timed)
    assert [row["name"] for row in rows if "us" in row] == ["mnist", "glyphs"]
    printed = capsys.readouterr().out
    assert "| one uint8 image: VAEAugment(glyphs) " in printed
    assert "| own code, one uint8 image: glyphs " in printed


def test_generation(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        generation.main(["--count", "64", "--workers", "1"])
    finally:
        torch.set_num_threads(threads)
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 64
    assert found["peak_pss_mb"] > 10


@pytest.fixture
def handwriting(tmp_path: Path) -> Path:
    """A folder with the data sets of handwriting: strokes for drawings, few of each."""
    paper = np.ones((20, 20, 105, 105), dtype=bool)
    paper[:, :, 20:80, 50:53] = False  # a stroke
    (tmp_path / "omniglot").mkdir()
    for name in (glyph_images.BACKGROUND, glyph_images.EVALUATION):
        np.savez(tmp_path / "omniglot" / name, images=paper)
    drawings = np.zeros((4, 28, 28), np.uint8)
    drawings[:, 2:26, 12:15] = 255
    (tmp_path / "handwriting").mkdir()
    np.savez(
        tmp_path / "handwriting" / "dhcd-train.npz", images=drawings, labels=np.array([0, 0, 1, 1])
    )
    return tmp_path


def test_glyph_images(handwriting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = handwriting / "glyphs.npz"
    glyph_images.main(handwriting, file)
    assert "1,608 images of 84 classes" in capsys.readouterr().out
    with np.load(file) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    assert (images.shape, np.bincount(labels).tolist()) == (
        (1608, 1, 28, 28),
        [20] * 80 + [2] * 4,
    )
    ink = images[:1600].reshape(4, -1).sum(1)
    assert (np.diff(ink.astype(int)) > 0).all()  # thicker and thicker
    assert len(np.unique(images[:20].sum((1, 2, 3)))) > 10  # pens within a range differ
    fills, in_square = images[-8:-4], images[-4:]
    assert ((fills > 0).any((1, 3)).sum(1) == 24).all()
    assert ((in_square > 0).any((1, 3)).sum(1) == 20).all()


def test_redrawing(handwriting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [redrawing.Setting(1, "omniglot", "affine", 2)]
    monkeypatch.setattr(redrawing, "SETTINGS", settings)
    monkeypatch.setattr(redrawing, "UPDATES", 1)
    monkeypatch.setattr(redrawing, "FILE", handwriting / "r.jsonl")
    redrawing.glyphs(handwriting, seeds=1)
    rows = common.read_lines(redrawing.FILE)
    redrawing.glyphs(handwriting, seeds=1)
    assert common.read_lines(redrawing.FILE) == rows  # what is there is not measured again
    assert [row["method"] for row in rows] == ["affine", "redrawn+affine"]
    (found,) = redrawing.measured(rows)[:1]
    assert found.distorted.keys() == found.redrawn.keys() == {100}


def test_own_redrawers(digits: ImageData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    learned_from = []

    def fit_model(data: ImageData, config: FitConfig) -> VAEModel:
        learned_from.append(sorted(data.classes))
        return load("glyphs", provider="cpu")

    def data_set(data: str, root: Path) -> tuple[ImageData, ImageData]:
        pixels = torch.nn.functional.pad(digits.images, (10, 10, 10, 10))
        padded = replace(digits, images=pixels)
        return padded, padded

    monkeypatch.setattr(redrawing, "fit_model", fit_model)
    monkeypatch.setattr(redrawing, "data_set", data_set)
    monkeypatch.setattr(redrawing, "OWN", [("digits", "affine")])
    monkeypatch.setattr(redrawing, "UPDATES", 1)
    monkeypatch.setattr(redrawing, "FILE", tmp_path / "r.jsonl")
    redrawing.own(tmp_path, seeds=1)
    rows = common.read_lines(redrawing.FILE)
    assert [(row["model"], row["labels"]) for row in rows] == [
        *[(redrawing.HALF, 10)] * 2,
        *[(redrawing.ALL, 100)] * 2,
    ]
    assert learned_from == [[*"02468"], [*"0123456789"]]


def test_at_test_time(digits: ImageData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    few = digits.subset(torch.arange(200))
    data = replace(few, images=torch.nn.functional.pad(few.images, (10, 10, 10, 10)))
    monkeypatch.setattr(at_test_time, "FILE", tmp_path / "r.jsonl")
    monkeypatch.setattr(at_test_time, "UPDATES", 1)
    monkeypatch.setattr(at_test_time, "VIEWS", 2)
    monkeypatch.setattr(at_test_time, "load_data", lambda *arguments, **others: data)
    monkeypatch.setattr(at_test_time, "source", lambda *arguments: Source("digits"))
    monkeypatch.setattr(Source, "load", lambda self: LoadedImages(data, data))
    at_test_time.cleaning(tmp_path, seeds=1)
    at_test_time.views(tmp_path, seeds=1)
    rows = common.read_lines(at_test_time.FILE)
    assert len(rows) == 2 * 5 * 3 + 2 * 4
    at_test_time.views(tmp_path, seeds=1)
    assert common.read_lines(at_test_time.FILE) == rows
    assert at_test_time.table(rows).count("median filter") == 10


def test_consistency(digits: ImageData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    few = digits.subset(torch.arange(200))
    data = replace(few, images=torch.nn.functional.pad(few.images, (10, 10, 10, 10)))
    monkeypatch.setattr(consistency, "FILE", tmp_path / "r.jsonl")
    monkeypatch.setattr(consistency, "UPDATES", 2)
    monkeypatch.setattr(consistency, "source", lambda *arguments: Source("digits"))
    monkeypatch.setattr(Source, "load", lambda self: LoadedImages(data, data))
    consistency.measure(tmp_path, seeds=1)
    rows = common.read_lines(consistency.FILE)
    assert len(rows) == 2 * 4
    consistency.measure(tmp_path, seeds=1)
    assert common.read_lines(consistency.FILE) == rows
    assert consistency.table(rows).count("redrawn+affine") == 3


def test_views_of_sure_images_alone_count() -> None:
    shown = []

    def view(images: torch.Tensor) -> torch.Tensor:
        shown.append(images)
        return images / 2

    images = torch.tensor([[10.0, 0.0], [0.1, 0.0]])
    loss = consistency.consistency(torch.nn.Flatten(), images[:, None, None], view)
    assert [len(views) for views in shown] == [1]
    assert loss.item() == pytest.approx(math.log1p(math.exp(-5)) / 2, rel=1e-4)


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    shown = [each for each in figures.figures() if each.in_chart]
    assert len({(each.setting, each.data) for each in shown}) == len(shown)
    figures.draw(shown, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.width == 960


def test_the_docs_show_what_was_measured() -> None:
    assert figures.table(figures.figures()) in BENEFIT_PAGE
    assert defaults.table(common.read_lines(defaults.FILE)) in RESIDUAL_PAGE
    assert at_test_time.table(common.read_lines(at_test_time.FILE)) in EXPERIMENTS_PAGE
    assert consistency.table(common.read_lines(consistency.FILE)) in EXPERIMENTS_PAGE


@pytest.mark.parametrize("file", [benefit.FILE, defaults.FILE, samples.FILE])
def test_committed_accuracies_are_percent_and_not_repeated(file: Path) -> None:
    rows = common.read_lines(file)
    assert all(0 < row["accuracy"] < 100 for row in rows)
    names = (
        "setting",
        "data",
        "method",
        "classifier",
        "kind",
        "labels_per_class",
        "model",
        "updates",
        "seed",
    )
    keys = [tuple(row.get(name) for name in names) for row in rows]
    assert len(set(keys)) == len(keys) > 20


def test_seeds_are_given_as_a_range() -> None:
    assert common.seed_range("2:4") == range(2, 4)
    for wrong in ("5:5", "3", "a:b", "-1:3"):
        with pytest.raises(ArgumentTypeError, match="is not FIRST:END"):
            common.seed_range(wrong)


def test_what_is_timed_takes_turns() -> None:
    order: list[str] = []
    clock = iter(range(100))
    runs = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    found = common.rates(runs, 6, repeats=2, seconds=0, clock=lambda: next(clock))
    assert order[-4:] == ["a", "b", "a", "b"]
    assert found["a"] == {"median": 6, "lower_quartile": 6, "upper_quartile": 6}


def test_the_page_of_privacy_has_the_rows_of_private_files() -> None:
    rows = private.table(common.read_lines(common.RESULTS / "private.jsonl"))
    assert len(rows) == 11
    page = (ROOT / "docs" / "privacy.md").read_text()
    assert [row for row in rows if row not in page] == []


def test_strength_units(tiny_checkpoint: Path, digits: ImageData, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    bare = tmp_path / "bare.safetensors"
    save_checkpoint(replace(checkpoint, spec=replace(checkpoint.spec, evidence={})), bare)
    path = tmp_path / "digits.onnx"
    export(bare, path)
    content = onnx.load(path).graph.SerializeToString(deterministic=True)
    model = strength_units.write_unit(path, digits)
    assert model.spec.strength_unit == pytest.approx(checkpoint.spec.strength_unit, rel=0.01)
    assert onnx.load(path).graph.SerializeToString(deterministic=True) == content


def test_latents_are_fitted_anew(tiny_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    path.write_bytes(tiny_model_path.read_bytes())
    before = load(path)
    measured = {"samples_only": {"real": 90}, "strength": {"unit": 2}}
    add_evidence(path, before.file.content, before.spec, measured)
    latents.main([str(path), "digits"])
    model = load(path)
    assert model.spec.latents is not None
    assert np.abs(model.spec.latents.means).any()
    assert set(model.spec.evidence) == {"strength"}
    graph = onnx.load(path).graph
    assert graph == onnx.load(tiny_model_path).graph


def test_strengths(tiny_model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        strengths.main([str(tiny_model_path), "digits", "--updates", "30", "--strength", "1"])
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert printed.count("| digits | ") == 2
