"""Both exporters of PyTorch: which one is taken, and what the older one needs."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.exporters.layers import SHAPE, SUPPORTED, LayerVAE, Row
from vae_augment.errors import ExportError
from vae_augment.exporters import export, tracing

# What the older exporter of torch 2.4 does, as far as the newer torch still has it.
ROWS = {row.name: row for rows in SUPPORTED.values() for row in rows}
SIMPLE = ("nn.Conv2d", "nn.BatchNorm2d", "nn.Softplus", "nn.Unflatten", "expand", "chunk")


@pytest.fixture
def _older(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter that torch before 2.7 has."""
    real = torch.onnx.export

    def export_by_torchscript(*args: object, **options: object) -> object:
        return real(*args, **{"dynamo": False} | options)

    monkeypatch.setattr(tracing, "_has_dynamo", lambda: False)
    monkeypatch.setattr(torch.onnx, "export", export_by_torchscript)


@pytest.mark.usefixtures("_older")
@pytest.mark.parametrize("row", [ROWS[f"`{name}`"] for name in SIMPLE], ids=SIMPLE)
def test_the_older_exporter_gives_a_file_that_computes_the_same(row: Row, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = LayerVAE(row.make()).eval()
    assert export(module, tmp_path / "model.onnx", image_shape=SHAPE).worst <= 1e-5


@pytest.mark.usefixtures("_older")
def test_the_older_exporter_takes_our_checkpoints(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert export(tiny_checkpoint, tmp_path / "model.onnx").worst <= 1e-5


class Branches(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.max() > 0 else -x)


@pytest.mark.usefixtures("_older")
def test_the_older_exporter_does_not_keep_one_branch_in_silence(tmp_path: Path) -> None:
    module = LayerVAE(Branches(8, 8)).eval()
    with pytest.raises(ExportError, match=r"in test_tracing\.py, line \d+.*with torch 2\.7 or"):
        export(module, tmp_path / "model.onnx", image_shape=SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_this_torch_has_the_newer_exporter() -> None:
    is_new = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 7)
    assert tracing._has_dynamo() == is_new


def test_a_missing_onnxscript_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_has_dynamo", lambda: True)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match="Install it: pip install onnxscript"):
        export(LayerVAE(nn.Identity()).eval(), tmp_path / "model.onnx", image_shape=SHAPE)
