"""Images to perturb: the caption says what they are, and the code gives the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vae_augment import VAEModel
from vae_augment.app.code import script
from vae_augment.app.originals import DataImages, Original, Samples, dropped
from vae_augment.errors import InputError
from vae_augment.training import ImageData


def run(original: Original) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(script(original.imports, original.code), names)
    return names


def test_an_image_of_the_data(digits: ImageData) -> None:
    original = DataImages(digits, "digits").original(3, (1, 8, 8))
    assert original.caption == "image 3 of digits, class 3"
    assert original.label == "3"
    assert original.image.equal(digits.images[3])
    assert run(original)["image"].equal(original.image)


def test_the_folder_of_the_data_stands_in_the_code(digits: ImageData) -> None:
    original = DataImages(digits, "mnist", "my data").original(0, (1, 8, 8))
    assert original.code == ('image = load_data("mnist", "my data").images[0]',)


def test_an_image_of_another_size_is_resized_and_says_so(digits: ImageData) -> None:
    original = DataImages(digits, "digits").original(3, (3, 28, 28))
    assert original.image.shape == (3, 28, 28)
    assert original.caption.endswith("as red, green and blue and resized from 8 x 8 to 28 x 28")
    assert run(original)["image"].equal(original.image)


def test_an_image_without_a_label(digits: ImageData) -> None:
    unknown = ImageData("some", digits.images, torch.full_like(digits.labels, -1))
    original = DataImages(unknown, "some").original(0, (1, 8, 8))
    assert (original.caption, original.label) == ("image 0 of some", "")


def test_a_sample_of_the_model(tiny_model: VAEModel) -> None:
    samples = Samples(tiny_model, str(tiny_model.path))
    original = samples.original(14, (1, 8, 8))
    assert original.caption == "sample 14 of digits, class 4"
    assert original.image.dtype == torch.uint8
    assert run(original)["image"].equal(original.image)
    larger = samples.original(14, (3, 28, 28))
    assert larger.image.shape == (3, 28, 28)
    assert run(larger)["image"].equal(larger.image)


def test_a_dropped_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("my 'photo'.png")
    original = dropped(tmp_path / "my 'photo'.png", (1, 8, 8))
    assert original.caption == "my 'photo'.png, in grey and resized from 40 x 30 to 8 x 8"
    assert run(original)["image"].equal(original.image)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n half"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^broken\.png cannot be read as an image") as error:
        dropped(path, (1, 8, 8))
    assert str(tmp_path) not in str(error.value)
