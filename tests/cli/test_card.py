"""`vae-augment card`: what the card of a file says, and what a stranger's names cannot do in it."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.evaluation.card import model_card
from vae_augment.model.evidence import AUDIT, PRIVACY, SAMPLES_ONLY, with_evidence

FOUND = {
    AUDIT: {
        "train": 1297,
        "test": 500,
        "strongest_attack": "anomaly score",
        "membership_auc": [0.51, 0.48, 0.54],
        "tpr_at_1_percent": 0.012,
        "copying": -0.4,
        "authentic_share": 0.61,
        "findings": [],
    },
    SAMPLES_ONLY: {"samples": 90.5, "real": 96.25},
}


@pytest.fixture
def path(tiny_model: VAEModel, tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    path.write_bytes(with_evidence(tiny_model.file.content, tiny_model.spec, FOUND))
    return path


def test_the_command_writes_a_card_and_its_picture(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "README.md"
    code, text = run("card", path, "-o", output, "--licence", "apache-2.0")
    assert code == 0, text
    card = ModelCard.load(output)  # as the Hub reads it
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "vae-augment"
    assert card.data.tags == ["vae", "data-augmentation", "onnx"]
    assert f'sha256="{load(path).sha256}"' in card.text
    assert "samples alone reaches 90.50 %, on the real images 96.25 %" in card.text
    assert "AUC 0.510 (0.480 to 0.540" in card.text
    assert "It promises no differential privacy" in card.text
    picture = re.findall(r"!\[.*\]\((.*)\)", card.text)
    assert picture == ["mine.png"]
    with Image.open(tmp_path / "mine.png") as image:
        assert image.size[0] > 600
    assert run("card", path, "-o", output)[0] == 1  # it is there


def test_a_card_says_what_was_not_measured(tiny_model: VAEModel) -> None:
    text = model_card(tiny_model)
    assert "Not measured." in text
    assert "It was not audited" in text
    assert "Not stated." in text


def test_a_card_tells_of_epsilon_and_of_a_bank(tiny_model: VAEModel) -> None:
    latents = tiny_model.spec.latents
    assert latents is not None
    rows = latents.means[:3, 0]
    with_bank = replace(latents, bank=rows, bank_given_label=rows, bank_labels=[0, 1, 2])
    privacy = {
        "epsilon": 1.0,
        "delta": 1e-5,
        "adjacency": "one labelled image added or removed",
        "mechanism": "noise",
        "accountant": "dp-accounting 0.6",
        "public": "the base strokes",
    }
    spec = replace(tiny_model.spec, latents=with_bank, evidence={PRIVACY: privacy})
    model = VAEModel(replace(tiny_model.file, spec=spec), provider="cpu")
    text = model_card(model)
    assert "Warning: the file carries the latents of 3 training images" in text
    assert "It has differential privacy for each image with epsilon 1 and delta 1e-05" in text
    assert "It does not mean that nothing can be learned" in text


def test_a_model_that_redraws_has_a_card_without_a_picture(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "data" / "format-2.onnx"
    shutil.copy(golden, tmp_path / "redraws.onnx")
    code, _ = run("card", tmp_path / "redraws.onnx", "-o", tmp_path / "README.md")
    assert code == 0
    assert [file.name for file in tmp_path.glob("*.png")] == []
    assert "redraws images that it is given" in (tmp_path / "README.md").read_text()


def test_names_of_strangers_are_neither_markup_nor_yaml(tiny_model: VAEModel) -> None:
    names = ("<script>alert(1)</script>", "[x](http://example.org)", "a|b", *"3456789")
    training = {"data": "---\nlicense: mit\n---", "</td>": "`code`"}
    spec = replace(tiny_model.spec, classes=names, training=training)
    model = VAEModel(replace(tiny_model.file, spec=spec), provider="cpu")
    text = model_card(model, licence='mit"\nevil: yes')
    assert "<script>" not in text
    assert "[x](" not in text
    front = text.split("---\n")[1]
    assert front.count("\n") == 4
    assert text.count("\n---\n") == 1
