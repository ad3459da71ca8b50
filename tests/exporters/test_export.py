"""Our own checkpoints, and what holds for every source. The others have test files of their own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from vae_augment import exporters, load
from vae_augment.cli import app
from vae_augment.errors import ExportError, InputError, OutputExistsError
from vae_augment.exporters import ExportableVAE, ParityReport, export
from vae_augment.model.file import ModelFile
from vae_augment.training import load_checkpoint, save_checkpoint


def test_two_exports_give_the_same_bytes_and_a_report(
    tiny_checkpoint: Path, tiny_model_path: Path, tmp_path: Path
):
    report = export(tiny_checkpoint, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == tiny_model_path.read_bytes()
    assert list(report.differences) == [
        "whole: augmented",
        "whole: first image alone",
        "encoder: mean",
        "encoder: logvar",
        "decoder: image",
    ]
    assert all(list(row) == [1, 2, 5, 64] for row in report.differences.values())
    assert 0 < report.worst <= 1e-5
    assert report.psnr is None


def test_the_file_computes_what_the_checkpoint_does(tiny_checkpoint: Path, tiny_model_path: Path):
    network, model = load_checkpoint(tiny_checkpoint).build(), load(tiny_model_path)
    images, labels = torch.rand(7, 1, 8, 8), torch.tensor([-1, 0, 1, 2, 3, 9, -1])
    with torch.no_grad():
        mean, logvar = network.encode(images, labels)
        decoded = network.decode(mean, labels)
    torch.testing.assert_close(model.encode(images, labels), (mean, logvar), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.decode(mean, labels), decoded, atol=1e-5, rtol=0)


def test_what_is_there_is_left_alone(tiny_checkpoint: Path, tmp_path: Path):
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(OutputExistsError):
        export(tiny_checkpoint, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "mine"


def test_a_model_that_another_process_wrote_is_left_and_ours_kept(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    output, check = tmp_path / "model.onnx", exporters.check_parity

    def disturbed(vae: ExportableVAE, file: ModelFile) -> ParityReport:
        output.write_text("mine")
        return check(vae, file)

    monkeypatch.setattr(exporters, "check_parity", disturbed)
    with pytest.raises(OutputExistsError, match="Another process has written"):
        export(tiny_checkpoint, output)
    assert output.read_text() == "mine"
    (kept,) = set(tmp_path.iterdir()) - {output}
    assert load(kept).spec.latent_dim == 20
    output.unlink()
    export(tiny_checkpoint, output, overwrite=True)
    assert load(output).spec.latent_dim == 20


def test_a_failure_leaves_nothing_and_exits_non_zero(tiny_checkpoint: Path, tmp_path: Path):
    checkpoint = load_checkpoint(tiny_checkpoint)
    weights = dict(checkpoint.weights) | {
        "mean.bias": torch.full_like(checkpoint.weights["mean.bias"], torch.nan)
    }
    save_checkpoint(replace(checkpoint, weights=weights), tmp_path / "broken.safetensors")
    done = CliRunner().invoke(
        app, ["export", str(tmp_path / "broken.safetensors"), "-o", str(tmp_path / "m.onnx")]
    )
    assert done.exit_code == 1
    assert "The exported graph breaks a rule of the format" in done.output
    assert "Tensor 'module.mean.bias' holds values that are not finite" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["broken.safetensors"]


def test_a_checkpoint_knows_its_own_shape(tiny_checkpoint: Path, tmp_path: Path):
    with pytest.raises(InputError) as caught:
        export(tiny_checkpoint, tmp_path / "model.onnx", image_shape=(1, 8, 8))
    assert str(caught.value) == (
        f"{tiny_checkpoint} is a checkpoint, which knows its image shape, classes and output. "
        "Leave them out."
    )


def test_a_difference_fails_whatever_it_is():
    assert ParityReport({"a": {1: 1e-6}}).table().endswith("largest 1.0e-06, tolerance 1e-05: ok")
    for worst in (1e-4, float("nan")):
        assert ParityReport({"a": {1: worst}}).table().endswith("TOO LARGE")


def test_a_file_that_differs_is_not_kept(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from vae_augment.exporters import parity

    monkeypatch.setattr(parity, "_difference", lambda expected, actual: 1e-4)
    with pytest.raises(
        ExportError, match=r"The exported file differs from PyTorch, so it was not kept\.\n"
    ):
        export(tiny_checkpoint, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
