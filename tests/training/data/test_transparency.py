"""Transparent images are put on a background; a drawing that vanishes in it is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image, ImageDraw

from .cases import Case
from .pictures import encoded, write_files

BLACK, WHITE, CLEAR = (0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)
LINE = np.full((16, 16), 255, np.uint8)
LINE[3:5, 3:13] = 0  # a black line on white
GREY_LINE = LINE[None, None]
COLOUR_LINE = np.repeat(GREY_LINE, 3, axis=1)


def drawing(mode: str, background: Any, stroke: Any) -> Image.Image:
    image = Image.new(mode, (16, 16), background)
    ImageDraw.Draw(image).rectangle((3, 3, 12, 4), fill=stroke)
    return image


def palette() -> Image.Image:
    image = drawing("P", 0, 1)
    image.putpalette([0] * 768)  # both entries are black, and the first is transparent
    return image


def a_file(image: Image.Image, kind: str = "PNG", **options: Any) -> Callable[[Path], Path]:
    """A folder of one class with one image."""
    return lambda root: write_files(root, {f"a/0.{kind.lower()}": encoded(image, kind, **options)})


def rows(root: Path) -> datasets.Dataset:
    features = datasets.Features(image=datasets.Image())
    return datasets.Dataset.from_dict({"image": [drawing("RGBA", CLEAR, BLACK)]}, features=features)


def array(root: Path) -> Path:
    np.savez(root / "x.npz", images=np.array(drawing("RGBA", CLEAR, BLACK))[None])
    return root / "x.npz"


CASES = [
    Case("PNG of mode RGBA", a_file(drawing("RGBA", CLEAR, BLACK)), "on white", COLOUR_LINE),
    Case(
        "PNG of mode RGBA",
        a_file(drawing("RGBA", (255, 255, 255, 0), WHITE)),
        "on black",
        255 - COLOUR_LINE,
        options={"background": "black"},
    ),
    Case("PNG of mode LA", a_file(drawing("LA", (0, 0), (0, 255))), "on white", GREY_LINE),
    Case("PNG with a palette", a_file(palette(), transparency=0), "on white", COLOUR_LINE),
    Case(
        "grey PNG with one transparent value (tRNS)",
        a_file(drawing("L", 1, 0), transparency=1),
        "on white",
        GREY_LINE,
    ),
    Case(
        "colour PNG with one transparent colour (tRNS)",
        a_file(drawing("RGB", (1, 1, 1), (0, 0, 0)), transparency=(1, 1, 1)),
        "on white",
        COLOUR_LINE,
    ),
    Case(
        "WebP with transparency",
        a_file(drawing("RGBA", CLEAR, BLACK), "WEBP", lossless=True, exact=True),
        "on white",
        COLOUR_LINE,
    ),
    Case(
        "TIFF of mode RGBA", a_file(drawing("RGBA", CLEAR, BLACK), "TIFF"), "on white", COLOUR_LINE
    ),
    Case(
        "GIF with transparency", a_file(palette(), "GIF", transparency=0), "on white", COLOUR_LINE
    ),
    Case("rows of Hugging Face with transparency", rows, "on white", COLOUR_LINE),
    Case(
        "`.npz` of [N, H, W, 4]",
        array,
        "as RGBA, on white",
        COLOUR_LINE,
        warning="are read as RGBA",
    ),
    Case(
        "a white drawing on transparent ground",
        a_file(drawing("RGBA", (255, 255, 255, 0), WHITE)),
        "on black",
        255 - COLOUR_LINE,
        error=r"a/0\.png: The drawing vanishes on the background 'white'",
        way={"background": "black"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transparent_images(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def test_a_background_that_is_no_colour(tmp_path: Path) -> None:
    bad = Case(
        "", a_file(palette()), options={"background": "blurple"}, error="background is 'blurp"
    )
    bad.check(tmp_path)
