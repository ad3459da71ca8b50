"""Pictures: the rows that they show, and where each image stands."""

from pathlib import Path

import torch
from PIL import Image

from vae_augment import VAEModel
from vae_augment.evaluation.pictures import Row, draw_rows, preview_rows, save_rows
from vae_augment.training import ImageData


def test_preview_shows_what_it_says(
    tiny_model: VAEModel, digits: ImageData, tmp_path: Path
) -> None:
    rows = preview_rows(tiny_model, digits.images)
    captions = [row.caption for row in rows]
    assert captions[:3] == ["originals", "reconstructions", "strength 0.25"]
    assert captions[-10:] == list("0123456789")
    path = tmp_path / "p.png"
    save_rows(rows, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["p.png"]


def test_picture_places_pixels_under_their_captions() -> None:
    picture = draw_rows(
        [
            Row("heading"),
            Row("white", torch.ones(2, 1, 4, 4)),
            Row("red", torch.eye(3)[:1, :, None, None]),
        ]
    )
    width, height = picture.size
    assert picture.getpixel((width - 30, height - 80)) == (255, 255, 255)
    assert picture.getpixel((width - 60 - 30, height - 30)) == (255, 0, 0)
