"""Labels for a pool from a few.

How many are right, what stays as it was, what is refused, and the command.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from typer.testing import CliRunner

from vae_augment.cli import app
from vae_augment.errors import InputError
from vae_augment.evaluation import label_pool
from vae_augment.evaluation.pseudo_labels import (
    contrastive_features,
    contrastive_loss,
    most_confident,
    smoothed,
    spread_labels,
)
from vae_augment.evaluation.splits import shuffled_classes
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float

FEW = 10  # labels per class


@pytest.fixture
def some(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(500))


@pytest.fixture
def few(some: ImageData) -> ImageData:
    """Some digits, all but a few of them without their labels, in the order that they had."""
    labels = torch.full_like(some.labels, -1)
    for rows in shuffled_classes(some, 0):
        labels[rows[:FEW]] = some.labels[rows[:FEW]]
    return replace(some, labels=labels)


@pytest.mark.parametrize(("by", "updates"), [("agreement", 130), ("neighbours", 20)])
def test_most_guesses_are_right(few: ImageData, some: ImageData, by: str, updates: int) -> None:
    found = label_pool(few, by=by, updates=updates)
    is_guessed = (few.labels < 0) & (found.labels >= 0)
    assert torch.equal(found.images, some.images)
    assert torch.equal(found.labels[few.labels >= 0], few.labels[few.labels >= 0])
    assert abs((found.labels < 0).double().mean() - 0.05) < 0.01
    assert (found.labels == some.labels)[is_guessed].double().mean() > 0.6


def test_the_same_seed_guesses_the_same(few: ImageData) -> None:
    one, same, other = (label_pool(few, updates=3, seed=seed).labels for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_most_confident_of_each_class_are_taken_and_the_known_ones_first() -> None:
    answers = torch.tensor([[0.0, 1.0], [0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    rows, labels = most_confident(answers, torch.tensor([0]), share=0.6)
    assert dict(zip(rows.tolist(), labels.tolist(), strict=True)) == {0: 0, 2: 0, 4: 1}


def test_known_labels_stay_where_nearly_all_are_known(digits: ImageData) -> None:
    labels = digits.labels.clone()
    labels[:5] = -1
    found = label_pool(replace(digits, labels=labels), updates=3, share=0.5)
    assert torch.equal(found.labels[5:], digits.labels[5:])


def test_labels_spread_within_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(3, 16, generator=generator), dim=1)
    truth = torch.arange(90) % 3
    features = centres[truth] + 0.05 * torch.randn(90, 16, generator=generator)
    found = spread_labels(features, truth[:3], 3)
    assert torch.equal(found.argmax(1), truth)
    torch.testing.assert_close(found.sum(1), torch.ones(90))


def test_smoothing_follows_the_neighbours() -> None:
    truth = torch.arange(60) % 3
    noise = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    features = torch.eye(3)[truth] + 0.01 * noise
    answers = torch.eye(3)[truth]
    answers[:3] = answers[:3].roll(1, 0)
    assert torch.equal(smoothed(features, answers).argmax(1), truth)


def test_contrastive_loss_is_least_for_pairs_that_agree() -> None:
    one = torch.eye(6)
    agreeing = contrastive_loss(torch.cat([one, one]))
    assert agreeing < contrastive_loss(torch.cat([one, one.roll(1, 0)]))


def test_contrastive_features_are_directions_and_repeat(digits: ImageData) -> None:
    images = to_float(digits.images[:200])
    features = contrastive_features(images, 2, seed=0)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(200))
    assert torch.equal(features, contrastive_features(images, 2, seed=0))


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        ({}, {"by": "vote"}, "by is 'vote'; choose one of agreement, neighbours."),
        ({}, {"share": 0.0}, "share is 0.0; it must be above 0 and at most 1."),
        ({}, {"updates": 0}, "updates is 0; it must be at least 1."),
        (
            {"labels": torch.zeros(500, dtype=torch.int64)},
            {},
            "All 500 images of digits have a label, so that there is none to guess. Put images "
            "without one beside the class folders, or give them the label -1 in an .npz.",
        ),
        (
            {"classes": (*"0123456789", "ten")},
            {},
            "No image of digits is labelled 'ten'. Label at least one image of each class.",
        ),
        (
            {"classes": ("0",)},
            {},
            "digits has 1 classes with labelled images; at least two are needed.",
        ),
    ],
)
def test_what_cannot_be_labelled_is_refused(
    few: ImageData, changed: dict[str, object], arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as error:
        label_pool(replace(few, **changed), **arguments)
    assert str(error.value) == message


def test_ten_images_are_too_few(few: ImageData) -> None:
    with pytest.raises(InputError) as error:
        label_pool(few.subset(torch.arange(10)))
    assert (
        str(error.value)
        == "digits has 10 images. Each is compared with the 10 nearest others: give more."
    )


def test_the_command_labels_the_images_beside_the_class_folders(
    digits: ImageData, tmp_path: Path
) -> None:
    folder, output = tmp_path / "glyphs", tmp_path / "labelled.npz"
    for index in range(60):
        label = int(digits.labels[index])
        place = folder / str(label) if index < 30 else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[index, 0].numpy()).save(place / f"{index}.png")
    command = ["label", str(folder), "-o", str(output), "--updates", "3"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    before, now = load_data(folder), load_data(output)
    assert torch.equal(now.images, before.images)
    assert now.classes == before.classes
    count = int((now.labels >= 0).sum())
    assert 30 < count < 60
    assert f"wrote {output}: 60 images, {count} with a label in place of 30" in done.output
    assert f"Next: vae-augment fit {output} -o {tmp_path / 'labelled.onnx'}" in done.output
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "exists already and was left as it is" in again.output) == (1, True)
