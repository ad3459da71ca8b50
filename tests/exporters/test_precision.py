"""Files of fewer bits: how far they are from float32, and that they still fall into their parts."""

import re
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
import torch

from benchmarks.file_precision import compared
from vae_augment import VAEModel, load
from vae_augment.errors import InputError
from vae_augment.exporters import ParityReport, export
from vae_augment.training import load_data


@pytest.fixture(scope="module", params=["fp16", "int8"])
def reduced(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ParityReport, VAEModel]:
    path = tmp_path_factory.mktemp("reduced") / f"{request.param}.onnx"
    report = export(tiny_checkpoint, path, precision=request.param)
    return request.param, report, load(path, provider="cpu")


def test_it_reports_what_it_changes(reduced: tuple[str, ParityReport, VAEModel]):
    precision, report, _ = reduced
    assert report.psnr is not None
    assert report.psnr > {"fp16": 70, "int8": 30}[precision]
    assert f"PSNR of perturbed images against fp32: {report.psnr:.1f} dB" in report.table()


def test_its_halves_compute_what_the_whole_does(reduced: tuple[str, ParityReport, VAEModel]):
    _, _, model = reduced
    images, labels = model.sample(5)
    inputs = {
        "image": images,
        "noise": torch.zeros(5, 20),
        "strength": torch.zeros(5),
        "label": labels,
    }
    torch.testing.assert_close(
        model.run("whole", inputs)[0], model.reconstruct(images, labels), atol=1e-6, rtol=0
    )


def test_an_image_does_not_depend_on_its_neighbours(reduced: tuple[str, ParityReport, VAEModel]):
    _, _, model = reduced
    images, _ = model.sample(64)
    together = model.reconstruct(images)
    alone = torch.cat([model.reconstruct(image[None]) for image in images[:8]])
    torch.testing.assert_close(alone, together[:8], atol=1e-6, rtol=0)


def test_it_is_smaller(reduced: tuple[str, ParityReport, VAEModel], tiny_model_path: Path):
    precision, _, model = reduced
    weights = {path: weight_bytes(path) for path in (model.path, tiny_model_path)}
    assert weights[model.path] < {"fp16": 0.55, "int8": 0.6}[precision] * weights[tiny_model_path]


def weight_bytes(path: Path) -> int:
    return sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)


def test_an_unknown_precision_is_refused(tiny_checkpoint: Path, tmp_path: Path):
    with pytest.raises(InputError) as caught:
        export(tiny_checkpoint, tmp_path / "model.onnx", precision="int4")
    assert str(caught.value) == "precision is 'int4'; choose from fp32, fp16, int8."


def test_int8_of_the_classic_network_computes_in_integers(tiny_checkpoint: Path, tmp_path: Path):
    path, optimised = tmp_path / "int8.onnx", tmp_path / "optimised.onnx"
    export(tiny_checkpoint, path, precision="int8")
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(optimised), 3
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    counts = Counter(node.op_type for node in onnx.load(optimised).graph.node)
    assert counts["QGemm"] == 3, counts  # the other two give mean and log-variance
    assert counts["Gemm"] + counts["FusedGemm"] == 2, counts


@pytest.mark.slow
def test_the_benchmark_says_what_int8_changes(tiny_checkpoint: Path):
    found = compared(tiny_checkpoint, load_data("digits").subset(torch.arange(200)), "int8")
    assert re.search(r"int8 against fp32, over 200 perturbed images\n  PSNR +\d+\.\d dB", found), (
        found
    )
    assert re.search(r"labels that change +\d+ of 200", found), found
    assert re.search(
        r"speed, one thread +[\d.]+x at batch 1, [\d.]+x at batch 32, [\d.]+x at batch 256", found
    ), found
