"""Pictures as HTML: the same bytes, escaped text."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from vae_augment.app import html
from vae_augment.app.originals import Original
from vae_augment.app.perturbing import Perturbed

HOSTILE = '<img src=x onerror="alert(1)">&'


def pictures(text: str) -> list[torch.Tensor]:
    """The images of the tiles, [C, H, W] each."""
    found = []
    for content in re.findall(r'src="data:image/png;base64,([^"]+)"', text):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(content))))
        found.append(
            torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
        )
    return found


def some(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def test_the_panels_hold_the_same_bytes() -> None:
    for channels in (1, 3):
        image = some(channels, 5, 7)
        versions = some(9, channels, 5, 7)
        distorted = some(9, channels, 5, 7)
        text = html.perturbed_panels(
            Original(image, "mine", (), ()), Perturbed(versions, distorted, "")
        )
        assert torch.stack(pictures(text)).equal(torch.cat([image[None], versions, distorted]))
        assert "9 of 9 changed" in text
        assert "va-same" not in text


def test_an_unchanged_version_has_a_frame() -> None:
    image = some(1, 5, 7)
    versions = torch.cat([image[None].repeat(2, 1, 1, 1), some(7, 1, 5, 7)])
    original = Original(image, "mine", (), ())
    text = html.perturbed_panels(original, Perturbed(versions, some(9, 1, 5, 7), ""))
    assert "7 of 9 changed; a dashed frame marks an unchanged one" in text
    assert text.count("va-same") == 2


def test_rows_have_their_captions() -> None:
    text = html.image_rows({"cat": some(4, 1, 5, 7), "": some(2, 1, 5, 7)})
    assert "<span>cat</span>" in text
    assert text.count("<span>") == 1
    assert len(pictures(text)) == 6


def test_every_text_is_escaped() -> None:
    image = some(1, 5, 7)
    nine = image[None].repeat(9, 1, 1, 1)
    texts = (
        html.message(HOSTILE),
        html.fact_list({HOSTILE: HOSTILE}),
        html.image_rows({HOSTILE: nine}),
        html.perturbed_panels(Original(image, HOSTILE, (), ()), Perturbed(nine, nine, "")),
    )
    for text in texts:
        assert HOSTILE not in text
        assert 'onerror="' not in text
        assert "&lt;img src=x" in text
