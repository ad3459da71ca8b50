"""The list of bundled models: what stands in the files, and nothing where it does not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.evaluation import bundled
from vae_augment.model.evidence import SAMPLES_ONLY, with_evidence
from vae_augment.model.file import BUNDLED


def test_every_bundled_model_is_listed_with_its_source() -> None:
    models = bundled.bundled_models()
    assert tuple(model.name for model in models) == BUNDLED
    for model in models:
        assert model.source
        assert model.licence
        assert model.images
        assert model.images_bytes
        if model.images > 10_000:
            assert model.images_bytes > 4 * model.file_bytes
    code, text = run("models")
    assert code == 0
    assert all(name in text for name in BUNDLED)
    assert "60,000 images, 47.0 MB" in text
    assert text.startswith("name ")


def test_the_figure_is_that_of_the_file(
    tiny_model: VAEModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.onnx"
    facts = {"images": 1297, "images_from": "me", "images_licence": "MIT"}
    spec = replace(tiny_model.spec, training=facts)
    found = {SAMPLES_ONLY: {"samples": 90.5, "real": 96.25}}
    path.write_bytes(with_evidence(tiny_model.file.content, spec, found))
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(with_evidence(tiny_model.file.content, replace(spec, training={}), {}))
    described = bundled._described(load(path))
    assert (described.images, described.images_bytes) == (1297, 1297 * 64)
    text = bundled.table([described, bundled._described(load(bare))])
    lines = text.splitlines()
    assert "1,297 images, 0.1 MB" in lines[1]
    assert lines[1].endswith("90.50 / 96.25 %  me; MIT")
    assert lines[2].endswith("source not stated; licence not stated")
    assert "not measured" in lines[2]
