"""The page docs/explore.md: its Python is what the page of `vae-augment explore` shows."""

import re
from typing import Any

from tests.helpers import ROOT
from vae_augment import load
from vae_augment.app.originals import Samples
from vae_augment.app.perturbing import Settings, perturb

PAGE = (ROOT / "docs" / "explore.md").read_text()


def test_the_python_is_that_of_the_page() -> None:
    (block,) = re.findall(r"^```python\n(.*?)\n^```$", PAGE, re.M | re.S)
    glyphs = load("glyphs", provider="cpu")
    image = Samples(load("mnist", provider="cpu"), "mnist").original(2, glyphs.spec.image_shape)
    shown = perturb(glyphs, "glyphs", image, Settings())
    assert block == shown.code
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["nine"].equal(shown.versions)
