"""Evidence in a file: bound to the graph and the latents, and kept by nothing that changes them."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from vae_augment import VAEModel, load
from vae_augment.errors import ModelFormatError
from vae_augment.exporters import export
from vae_augment.model.evidence import AUDIT, PRIVACY, with_evidence, write_metadata
from vae_augment.model.latents import LATENTS_KEY
from vae_augment.model.strength import STRENGTH
from vae_augment.training import load_checkpoint, save_checkpoint

FOUND = {AUDIT: {"membership_auc": [0.5, 0.49, 0.51]}}


@pytest.fixture
def with_audit(tiny_model: VAEModel, tmp_path: Path) -> Path:
    path = tmp_path / "audited.onnx"
    path.write_bytes(with_evidence(tiny_model.file.content, tiny_model.spec, FOUND))
    return path


def test_evidence_is_read_back(with_audit: Path, tiny_model: VAEModel) -> None:
    model = load(with_audit, provider="cpu")
    entry = dict(model.spec.evidence[AUDIT])
    assert entry.pop("weights_sha256") == model.weights_sha256 == tiny_model.weights_sha256
    assert entry == FOUND[AUDIT]
    assert model.sample(2)[0].equal(tiny_model.sample(2)[0])


def test_further_evidence_leaves_the_rest(with_audit: Path) -> None:
    file = load(with_audit, provider="cpu").file
    with_audit.write_bytes(with_evidence(file.content, file.spec, {"more": {"number": 1}}))
    assert set(load(with_audit).spec.evidence) == {AUDIT, STRENGTH, "more"}


def test_evidence_of_other_weights_is_refused(with_audit: Path) -> None:
    model = onnx.load(with_audit)
    tensor = next(each for each in model.graph.initializer if each.dims)
    array = onnx.numpy_helper.to_array(tensor) * 1.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype("float32"), tensor.name))
    onnx.save(model, with_audit)
    with pytest.raises(ModelFormatError, match="evidence 'audit' is about other weights"):
        load(with_audit)


def test_evidence_of_other_latents_is_refused(with_audit: Path, tiny_model: VAEModel) -> None:
    latents = tiny_model.spec.latents
    assert latents is not None
    model = onnx.load(with_audit)
    text = next(each for each in model.metadata_props if each.key == LATENTS_KEY)
    text.value = replace(latents, means=1.01 * latents.means).to_text()
    onnx.save(model, with_audit)
    with pytest.raises(ModelFormatError, match="evidence 'audit' is about other weights"):
        load(with_audit)


def test_a_file_of_an_earlier_version_takes_evidence(tmp_path: Path) -> None:
    golden = load(Path(__file__).parents[1] / "data" / "format-1.onnx", provider="cpu")
    path = tmp_path / "lifted.onnx"
    path.write_bytes(with_evidence(golden.file.content, golden.spec, FOUND))
    lifted = load(path, provider="cpu")
    assert lifted.spec.format_version == 3
    assert set(lifted.spec.evidence) == {AUDIT}
    assert lifted.sample(3)[0].equal(golden.sample(3)[0])


@pytest.mark.parametrize("evidence", [{"audit": 0.5}, {"line\nbreak": {}}, ["audit"]])
def test_evidence_of_another_form_is_refused(
    tiny_model: VAEModel, tmp_path: Path, evidence: object
) -> None:
    model = onnx.load_from_string(tiny_model.file.content)
    spec = replace(tiny_model.spec, evidence=evidence)  # type: ignore[arg-type]
    onnx.helper.set_model_props(model, spec.to_metadata())
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ModelFormatError, match="evidence is"):
        load(tmp_path / "odd.onnx")


@pytest.mark.parametrize("unit", [0, -1.0, 1e4, "1", None, True, float("nan")])
def test_a_unit_of_strength_that_is_none_is_refused(
    tiny_model: VAEModel, tmp_path: Path, unit: object
) -> None:
    model = onnx.load_from_string(tiny_model.file.content)
    write_metadata(model, replace(tiny_model.spec, evidence={STRENGTH: {"unit": unit}}))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ModelFormatError, match="unit of strength is"):
        load(tmp_path / "odd.onnx")


def test_rounded_weights_keep_what_rounding_does_not_touch(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    evidence = FOUND | {PRIVACY: {"epsilon": 1.0}, STRENGTH: {"unit": 2.0}}
    path = tmp_path / "with.safetensors"
    save_checkpoint(replace(checkpoint, spec=replace(checkpoint.spec, evidence=evidence)), path)
    export(path, tmp_path / "full.onnx")
    export(path, tmp_path / "half.onnx", precision="fp16")
    assert set(load(tmp_path / "full.onnx").spec.evidence) == {AUDIT, PRIVACY, STRENGTH}
    assert set(load(tmp_path / "half.onnx").spec.evidence) == {PRIVACY, STRENGTH}
    assert load(tmp_path / "half.onnx").spec.strength_unit == 2


def test_metadata_without_evidence_has_no_digest(tiny_model: VAEModel) -> None:
    model = onnx.load_from_string(tiny_model.file.content)
    write_metadata(model, replace(tiny_model.spec, evidence={}))
    assert all("weights_sha256" not in entry.value for entry in model.metadata_props)
