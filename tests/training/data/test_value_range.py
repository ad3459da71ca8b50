"""The values of pixels: scaled where their range is known, else refused or said to be dark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vae_augment.training import FitConfig, ImageData, fit

from .cases import Case
from .pictures import NOISE, encoded, write_files

BITS_12 = NOISE[:, 0].astype(np.uint16) * 16 + NOISE[:, 0] // 16  # 0..4095 for 0..255
MASK = NOISE[:, 0] > 127
SIXTEEN = np.rint(NOISE[:, 0] / 255 * 16).astype(np.uint8)
AS_MASK = MASK[:, None] * np.uint8(255)
AS_SIXTEEN = np.rint(SIXTEEN[:, None] * (255 / 16)).astype(np.uint8)


def files(images: np.ndarray, ending: str = "png") -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        kind = {"tif": "TIFF"}.get(ending, "PNG")
        contents = [encoded(Image.fromarray(image), kind) for image in images]
        names = [f"a/{index}.{ending}" for index in range(len(images))]
        return write_files(root, dict(zip(names, contents, strict=True)))

    return make


def npz(images: np.ndarray) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        np.savez(root / "x.npz", images=images)
        return root / "x.npz"

    return make


def csv(images: np.ndarray) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        header = ",".join(f"pixel{index}" for index in range(64))
        np.savetxt(root / "x.csv", images.reshape(-1, 64), "%g", ",", header=header, comments="")
        return root / "x.csv"

    return make


CASES = [
    Case("16 bits in a PNG", files(NOISE[:, 0].astype(np.uint16) * 257), "scaled to 8", NOISE),
    Case("1 bit in a PNG", files(MASK), "0 and 255", AS_MASK),
    Case(
        "12 bits in a 16-bit PNG",
        files(BITS_12),
        "scaled to 8",
        NOISE,
        warning="brightest pixel is 16 of 255.*at most 4095 of uint16",
        way={"value_range": (0, 4095)},
    ),
    Case(
        "10 bits in a 16-bit TIFF",
        files(BITS_12 // 4, "tif"),
        "scaled to 8",
        warning="brightest pixel is 4 of 255",
        way={"value_range": (0, 1023)},
    ),
    Case(
        "0 and 1 in an 8-bit PNG",
        files(MASK.astype(np.uint8)),
        "0 and 255",
        AS_MASK,
        warning="brightest pixel is 1 of 255",
        way={"value_range": (0, 1)},
    ),
    Case(
        "0 and 1 in an `.npz` of uint8",
        npz(MASK.astype(np.uint8)),
        "0 and 255",
        AS_MASK,
        warning="brightest pixel is 1 of 255",
        way={"value_range": (0, 1)},
    ),
    Case(
        "0 to 16 in an `.npz` of uint8",
        npz(SIXTEEN),
        "scaled to 8 bits",
        AS_SIXTEEN,
        warning="brightest pixel is 16 of 255",
        way={"value_range": (0, 16)},
    ),
    Case(
        "0 to 16 in a table",
        csv(SIXTEEN),
        "scaled to 8 bits",
        AS_SIXTEEN,
        warning="brightest pixel is 16 of 255",
        way={"value_range": (0, 16)},
    ),
    Case("`.npz` of bool", npz(MASK), "0 and 255", AS_MASK),
    Case("`.npz` of float in [0, 1]", npz(NOISE[:, 0] / 255), "scaled", NOISE),
    Case("`.npz` of uint16", npz(NOISE[:, 0].astype(np.uint16) * 257), "scaled to 8 bits", NOISE),
    Case("a table of values in [0, 1]", csv(NOISE[:, 0] / 255), "scaled", NOISE),
    Case(
        "`.npz` of float in 0..255",
        npz(NOISE[:, 0].astype(float)),
        "read",
        NOISE,
        error="float64 with values from 0 to 255, but floats lie in",
        way={"value_range": (0, 255)},
    ),
    Case(
        "`.npz` of float in [-1, 1]",
        npz(NOISE[:, 0] / 127.5 - 1),
        "scaled",
        NOISE,
        error="values from -1 to 1",
        way={"value_range": (-1, 1)},
    ),
    Case(
        "`.npz` of int64 in 0..255",
        npz(NOISE[:, 0].astype(np.int64)),
        "read",
        NOISE,
        error="type int64 with values from 0 to 255, whose range is not known",
        way={"value_range": (0, 255)},
    ),
    Case(
        "a table of values up to 4095",
        csv(BITS_12),
        "scaled to 8 bits",
        NOISE,
        error="values from 0 to 4095",
        way={"value_range": (0, 4095)},
    ),
    Case(
        "TIFF of float in 0..255",
        files(NOISE[:, 0].astype(np.float32), "tif"),
        "read",
        NOISE,
        error="float32 with values from 0 to 255",
        way={"value_range": (0, 255)},
    ),
    Case(
        "`.npz` of float that was divided by 255 twice",
        npz(NOISE[:, 0] / 255 / 255),
        "scaled",
        NOISE,
        warning="brightest pixel is 1 of 255",
        way={"value_range": (0, 0.003922)},
    ),
    Case(
        "`.npz` of float in other units",
        npz(NOISE[:, 0] * 4.001 - 510.1),
        "scaled",
        error=r"values from -510\.1 to 510\.155",
        way={"value_range": (-510.1, 510.2)},
    ),
    Case("values that are not finite", npz(np.full((2, 8, 8), np.nan)), error="are not finite"),
    Case(
        "values outside of the range that is given",
        npz(NOISE[:, 0]),
        options={"value_range": (0, 16)},
        error="values from 0 to 255 do not lie in the range 0..16",
    ),
    Case(
        "all pixels alike",
        npz(np.full((3, 8, 8), 200, np.uint8)),
        warning="all pixels lie in 200..200",
    ),
    Case(
        "one bright pixel in black images",
        npz(np.eye(1, 640, dtype=np.uint8).reshape(10, 8, 8) * 255),
        warning=r"mean pixel is 0\.40 of 255, so the images are nearly black",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_of_pixels(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize("bad", [(0, 0), (5, 1), (0, np.inf), (1,), "0,1", (0, "x")])
def test_a_range_that_is_none(bad: Any, tmp_path: Path) -> None:
    Case("", npz(MASK), options={"value_range": bad}, error="give the values of black").check(
        tmp_path
    )


def test_images_of_8_and_16_bits_are_scaled_each_and_take_no_range(tmp_path: Path) -> None:
    files(NOISE[:1, 0])(tmp_path)
    Image.fromarray(NOISE[1, 0].astype(np.uint16) * 257).save(tmp_path / "a" / "1.png")
    Case("", lambda root: root, images=NOISE[:2]).check(tmp_path)
    refused = Case(
        "", lambda root: root, options={"value_range": (0, 255)}, error="Read them apart"
    )
    refused.check(tmp_path)


def test_fit_says_that_images_are_dark_before_it_trains(tmp_path: Path) -> None:
    images = torch.from_numpy(SIXTEEN[:, None])
    dark = ImageData("dark", images, torch.full((6,), -1))
    with pytest.warns(UserWarning, match="dark: the brightest pixel is 16 of 255"):
        fit(dark, tmp_path / "m.safetensors", FitConfig(network="mlp", epochs=1))
