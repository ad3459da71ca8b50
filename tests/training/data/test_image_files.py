"""Image files: all pages or an error, upright as they were seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from vae_augment.training import load_data

from .cases import Case
from .pictures import NOISE, encoded, grey, write_files

LYING = np.array([[0, 0, 0, 255], [0, 0, 0, 255], [90, 90, 90, 255]], np.uint8)
TURNED = {
    1: LYING,
    2: LYING[:, ::-1],
    3: LYING[::-1, ::-1],
    4: LYING[::-1],
    5: LYING.T,
    6: np.rot90(LYING, -1),
    7: LYING[::-1, ::-1].T,
    8: np.rot90(LYING),
}


def more() -> dict[str, Any]:
    """Options with which Pillow writes two more pages."""
    return {"save_all": True, "append_images": [grey(1), grey(2)]}


def a_file(
    name: str, kind: str, image: Image.Image | None = None, **options: Any
) -> Callable[[Path], Path]:
    content = encoded(image or grey(0), kind, **options)
    return lambda root: write_files(root, {f"a/{name}": content})


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def upright(kind: str, orientation: int = 6, **options: Any) -> Case:
    """An image that a tag turns."""
    image = Image.fromarray(LYING)
    make = a_file(f"0.{kind.lower()}", kind, image, exif=exif(orientation), **options)
    expected = TURNED[orientation][None, None]
    if kind == "WEBP":
        expected = expected.repeat(3, axis=1)
    return Case(f"{kind} with the EXIF orientation {orientation}", make, "upright", expected)


def sixteen_bits(root: Path) -> Path:
    image = Image.fromarray(LYING.astype(np.uint16) * 257)
    return a_file("0.tif", "TIFF", image, exif=exif(6))(root)


PAGES: dict[str, Any] = {"images": NOISE[:3], "labels": [0, 0, 0], "way": {"frames": "all"}}
CASES = [
    Case("TIFF of three pages", a_file("0.tif", "TIFF", **more()), "three images", **PAGES,
         error="0.tif has 3 pages or frames"),
    Case("GIF of three frames", a_file("0.gif", "GIF", **more()), "three images", labels=[0, 0, 0],
         error="has 3 pages or frames", way={"frames": "all"}),
    Case("animated PNG", a_file("0.png", "PNG", **more()), "three images", **PAGES,
         error="has 3 pages or frames"),
    Case("animated WebP", a_file("0.webp", "WEBP", lossless=True, **more()), "three images",
         NOISE[:3].repeat(3, axis=1), error="has 3 pages or frames", way={"frames": "all"}),
    Case("TIFF of three pages", a_file("0.tif", "TIFF", **more()), "its first page", NOISE[:1], [0],
         error="has 3 pages or frames", way={"frames": "first"}),
    Case("a camera's JPEG with a second picture (MPO)", a_file("0.jpg", "MPO", **more()),
         "the first picture", labels=[0], warning="the first one is read"),
    upright("PNG"),
    upright("TIFF"),
    upright("WEBP", lossless=True),
    Case("TIFF of 16 bits with an EXIF orientation", sixteen_bits, "upright",
         TURNED[6][None, None]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pages_and_orientation(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize("orientation", TURNED)
def test_every_orientation(orientation: int, tmp_path: Path) -> None:
    upright("PNG", orientation).check(tmp_path)


@pytest.mark.parametrize("orientation", TURNED)
def test_a_jpeg_is_upright_as_pillow_shows_it(orientation: int, tmp_path: Path) -> None:
    picture = Image.fromarray(LYING.repeat(8, 0).repeat(8, 1))
    content = encoded(picture, "JPEG", exif=exif(orientation))
    path = write_files(tmp_path, {"a/0.jpg": content}) / "a/0.jpg"
    with Image.open(path) as image:
        shown = np.array(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(load_data(tmp_path).images[0, 0], shown)


def test_names_of_pages(tmp_path: Path) -> None:
    source = a_file("0.tif", "TIFF", **more())(tmp_path)
    assert load_data(source, frames="all").files == ("a/0.tif#1", "a/0.tif#2", "a/0.tif#3")
    assert load_data(source, frames="first").files == ("a/0.tif",)


def test_frames_that_are_none(tmp_path: Path) -> None:
    Case("", lambda root: root, options={"frames": "last"}, error="give 'all', 'first'").check(
        tmp_path
    )
