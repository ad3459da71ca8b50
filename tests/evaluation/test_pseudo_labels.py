"""Labels for a pool from a few.

How many are right, what stays as it was, what is refused, and the command.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vae_augment.cli import app
from vae_augment.errors import InputError
from vae_augment.evaluation.pseudo_labels import label_pool, most_confident
from vae_augment.evaluation.splits import shuffled_classes
from vae_augment.training import ImageData, load_data

FEW = 10  # labels a class


@pytest.fixture
def few(digits: ImageData) -> ImageData:
    """The digits, all but a few of them without their labels, in the order that they had."""
    labels = torch.full_like(digits.labels, -1)
    for rows in shuffled_classes(digits, 0):
        labels[rows[:FEW]] = digits.labels[rows[:FEW]]
    return replace(digits, labels=labels)


@pytest.mark.parametrize(("by", "updates"), [("agreement", 300), ("neighbours", 60)])
def test_most_guesses_are_right(few: ImageData, digits: ImageData, by: str, updates: int) -> None:
    found = label_pool(few, by=by, updates=updates)
    is_guessed = (few.labels < 0) & (found.labels >= 0)
    assert torch.equal(found.images, digits.images)
    assert torch.equal(found.labels[few.labels >= 0], few.labels[few.labels >= 0])
    assert abs((found.labels < 0).double().mean() - 0.05) < 0.005
    assert (found.labels == digits.labels)[is_guessed].double().mean() > 0.8


def test_the_same_seed_guesses_the_same(few: ImageData) -> None:
    one, same, other = (label_pool(few, updates=3, seed=seed).labels for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_surest_of_each_class_are_taken_and_the_known_ones_first() -> None:
    answers = torch.tensor([[0.0, 1.0], [0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])
    rows, labels = most_confident(answers, torch.tensor([0]), share=0.6)
    assert dict(zip(rows.tolist(), labels.tolist(), strict=True)) == {0: 0, 2: 0, 4: 1}


def test_known_labels_stay_where_nearly_all_are_known(digits: ImageData) -> None:
    labels = digits.labels.clone()
    labels[:5] = -1
    found = label_pool(replace(digits, labels=labels), updates=3, share=0.5)
    assert torch.equal(found.labels[5:], digits.labels[5:])


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        ({}, {"by": "vote"}, "by is 'vote'; choose one of agreement, neighbours."),
        ({}, {"share": 0.0}, "share is 0.0; it must be above 0 and at most 1."),
        ({}, {"updates": 0}, "updates is 0; it must be at least 1."),
        (
            {"labels": torch.zeros(1297, dtype=torch.int64)},
            {},
            "All 1297 images of digits have a label, so that there is none to guess. Put images "
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
    assert (
        f"Next: vae-augment fit {output} -o {tmp_path / 'labelled.onnx'}"
        in done.output
    )
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "exists already and was left as it is" in again.output) == (1, True)
