"""The audit finds what is planted, and nothing in a sound file; the command on top of it."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.errors import InputError
from vae_augment.evaluation import audit
from vae_augment.privacy import membership
from vae_augment.privacy.audit import PixelSpace
from vae_augment.privacy.report import NOTHING_FOUND, Audit
from vae_augment.privacy.words import (
    UNREADABLE,
    audit_in_words,
    privacy_in_words,
    samples_only_in_words,
)
from vae_augment.training import ImageData, load_data

ROOM = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def _rough_intervals() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(membership, "RESAMPLES", 60)
        yield


@pytest.fixture(scope="session")
def unseen() -> ImageData:
    return load_data("digits", train=False)


@pytest.fixture(scope="module")
def sound(tiny_model_path: Path, digits: ImageData, unseen: ImageData) -> Audit:
    return audit(load(tiny_model_path, provider="cpu"), digits, unseen)


@pytest.fixture(scope="module")
def leaking(copying_model: VAEModel, few_digits: ImageData, unseen: ImageData) -> Audit:
    return audit(copying_model, few_digits, unseen)


def test_a_sound_model_gives_no_finding(sound: Audit) -> None:
    assert sound.findings == ()
    assert sound.table().endswith(NOTHING_FOUND)


def test_every_measure_has_its_value_and_interval(sound: Audit) -> None:
    low, high = sound.membership_interval
    assert 0.4 < low < sound.membership_auc < high < 0.65
    assert len(sound.attacks) == 4
    assert sound.tpr_at_1_percent is not None
    assert 0 <= sound.tpr_at_1_percent < 0.1
    assert sound.copying is not None
    assert sound.copying > -3
    assert sound.authentic_share is not None
    assert 0.3 < sound.authentic_share < 1
    assert [row.name for row in sound.classes] == list("0123456789")
    assert all(row.auc is not None for row in sound.classes)


def test_a_model_that_repeats_its_images_is_found_by_every_means(leaking: Audit) -> None:
    assert leaking.membership_auc > 0.95
    assert leaking.copying is not None
    assert leaking.copying < -3
    found = " ".join(leaking.findings)
    assert "can be told from others by their reconstruction error" in found
    assert "Some training images are exposed" in found
    assert "Samples copy training images" in found
    assert "FOUND: " in leaking.table()


def test_the_closest_pairs_are_the_nearest_first(leaking: Audit, few_digits: ImageData) -> None:
    closest = leaking.closest
    assert closest is not None
    assert closest.samples.shape == closest.train.shape == closest.test.shape == (12, 1, 8, 8)
    distances = (closest.samples - closest.train).flatten(1).norm(dim=1)
    np.testing.assert_allclose(closest.to_train, distances, rtol=1e-6)
    assert closest.to_train.mean() < closest.to_test.mean() / 2
    known = {image.numpy().tobytes() for image in few_digits.images}
    pixels = (closest.train * 255).round().to(torch.uint8)
    assert {image.numpy().tobytes() for image in pixels} <= known


def test_the_same_audit_gives_the_same_numbers(
    leaking: Audit, copying_model: VAEModel, few_digits: ImageData, unseen: ImageData
) -> None:
    assert audit(copying_model, few_digits, unseen).to_evidence() == leaking.to_evidence()


def test_few_images_of_either_side_are_enough(
    tiny_model: VAEModel, digits: ImageData, unseen: ImageData
) -> None:
    found = audit(tiny_model, digits, unseen, most=150)
    assert (found.train, found.test) == (150, 150)
    with pytest.raises(InputError, match="most is 0"):
        audit(tiny_model, digits, unseen, most=0)


def test_distances_of_large_images_are_taken_at_32_pixels_a_side() -> None:
    images = torch.randint(256, (40, 3, 96, 128), dtype=torch.uint8)
    space = PixelSpace(ImageData("large", images, torch.zeros(40, dtype=torch.int64), ("a",)))
    features = space.features(images)
    assert features.shape == (40, 32)
    assert space._components.n_features_in_ == 3 * 24 * 32
    assert np.allclose(features, space.features(images.float() / 255), atol=1e-4)


def test_the_evidence_is_plain_json(leaking: Audit) -> None:
    evidence = json.loads(json.dumps(leaking.to_evidence()))
    assert evidence["membership_auc"][0] == pytest.approx(leaking.membership_auc, abs=1e-4)
    assert evidence["findings"] == list(leaking.findings)


def test_a_model_that_redraws_images_is_attacked_by_its_reconstructions(digits: ImageData) -> None:
    model = load(ROOM.parent / "data" / "format-2.onnx", provider="cpu")
    found = audit(model, digits, load_data("digits", train=False))
    assert list(found.attacks) == ["reconstruction error"]
    assert found.copying is None
    assert found.authentic_share is None
    assert found.closest is None


def test_unseen_images_that_were_trained_on_are_left_out(
    tiny_model: VAEModel, digits: ImageData, unseen: ImageData
) -> None:
    mixed = dataclasses.replace(
        unseen,
        images=torch.cat([unseen.images, digits.images[:30]]),
        labels=torch.cat([unseen.labels, digits.labels[:30]]),
    )
    with pytest.warns(UserWarning, match=r"30 of the 530 images of digits are among the training"):
        found = audit(tiny_model, digits, mixed)
    assert found.test == 500
    with pytest.raises(InputError, match="All images of digits are among the training images"):
        audit(tiny_model, digits, digits)


def test_other_training_images_than_those_of_the_file_are_warned_of(
    tiny_model: VAEModel, digits: ImageData, unseen: ImageData
) -> None:
    with pytest.warns(UserWarning, match="says that it was trained on other images"):
        audit(tiny_model, digits.subset(torch.arange(300)), unseen)


def test_images_that_do_not_fit_the_model_are_refused(
    tiny_model: VAEModel, digits: ImageData, unseen: ImageData
) -> None:
    larger = ImageData("larger", torch.zeros(5, 1, 9, 9, dtype=torch.uint8), torch.zeros(5).long())
    with pytest.raises(InputError, match=r"larger has images of shape \(1, 9, 9\)"):
        audit(tiny_model, larger, unseen)
    renamed = dataclasses.replace(unseen, classes=tuple("abcdefghij"))
    with pytest.raises(InputError, match="has the classes a, b, c"):
        audit(tiny_model, digits, renamed)
    with pytest.raises(InputError, match="has one image"):
        audit(tiny_model, digits.subset(torch.arange(1)), unseen)


def test_images_without_labels_have_no_rows_of_classes(
    tiny_model: VAEModel, digits: ImageData, unseen: ImageData
) -> None:
    train, test = (
        dataclasses.replace(each, labels=torch.full_like(each.labels, -1), classes=())
        for each in (digits, unseen)
    )
    with pytest.warns(UserWarning, match="trained on other images"):
        found = audit(tiny_model, train, test)
    assert found.classes == ()
    assert found.findings == ()


def test_the_command_prints_draws_stores_and_fails_above_the_bound(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    model, picture = tmp_path / "mine.onnx", tmp_path / "closest.png"
    shutil.copy(tiny_model_path, model)
    command = ["audit", model, "--train", "digits", "--test", "digits"]
    code, text = run(*command, "--plot", picture, "--max-auc", 0.5)
    assert code == 1
    assert "membership attack" in text
    assert "above --max-auc 0.5" in text
    with Image.open(picture) as image:
        assert image.size[0] > 600
    _, shown = run("info", model)
    lines = shown.partition("audit       ")[2].splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("1297 training images against 500 others: the strongest attack, by ")
    assert lines[3].endswith("nothing was found, which does not prove that nothing is there")


def test_a_bundled_file_is_left_as_it_is() -> None:
    code, text = run("audit", "mnist", "--train", "digits", "--test", "digits", "--store")
    assert code == 1
    assert "'mnist' is a bundled file" in text


@pytest.mark.parametrize(
    "entry", [{}, {"membership_auc": "high"}, {"membership_auc": [1, 2, 3], "findings": 3}]
)
def test_odd_evidence_is_called_so(entry: dict[str, object]) -> None:
    assert audit_in_words(entry) == [UNREADABLE]
    assert privacy_in_words(entry) == [UNREADABLE]
    assert samples_only_in_words(entry) == [UNREADABLE]
