"""Images and facts as HTML, with the images inside the text.

Every text is escaped, because names come from strangers' files.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from torch import Tensor

from ..model.pixels import to_pil
from ..model.vae_model import VAEModel
from .originals import Original
from .perturbing import Perturbed

CSS = """
.va-panels { display: grid;
  grid-template-columns: minmax(0, 1fr) minmax(0, 2fr) minmax(0, 2fr);
  grid-template-rows: auto 1fr;
  gap: 0 1.5rem; max-width: 60rem; }
.va-panel { display: grid; grid-row: span 2; grid-template-rows: subgrid; }
.va-panel h3 { margin: 0 0 .2rem; font-size: 1rem; }
.va-panel p, .va-text { margin: 0 0 .6rem; font-size: .85rem; overflow-wrap: anywhere;
  color: var(--body-text-color); opacity: .8; }
.va-tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; align-content: start; }
.va-tiles.va-one { grid-template-columns: 1fr; }
.va-row { display: grid; grid-template-columns: 6rem 1fr; gap: .5rem; align-items: center;
  margin-bottom: 4px; max-width: 60rem; }
.va-row.va-plain { grid-template-columns: 1fr; }
.va-row span { overflow-wrap: anywhere; font-size: .9rem; }
.va-row .va-tiles { grid-template-columns: repeat(var(--columns), 1fr); }
.va-tiles img { width: 100%; image-rendering: pixelated; display: block; margin: 0;
  border: 2px solid transparent; }
.va-tiles img.va-same { border: 2px dashed var(--body-text-color); }
.va-message { border-left: 4px solid #c2410c; padding: .5rem .8rem; margin: 0; }
.va-facts { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1.5rem; margin: 0; }
.va-facts dt { font-weight: 600; }
.va-facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .va-panels { column-gap: .6rem; }
  .va-panel h3 { font-size: .85rem; }
  .va-panel p { font-size: .7rem; line-height: 1.2; }
  .va-tiles { gap: 1px; }
  .va-row, .va-facts { grid-template-columns: 1fr; gap: 0; }
  .va-row .va-tiles { grid-template-columns: repeat(6, 1fr); }
  .va-facts dd { margin-bottom: .7rem; }
}
"""
LINE_HEADING = (
    "<h3>The line between two of them</h3>"
    '<p class="va-text">Both are encoded, and the points between their latents are decoded.</p>'
)


def heading(model: VAEModel) -> str:
    """What is on the page."""
    channels, height, width = model.spec.image_shape
    colours = "grey" if channels == 1 else "coloured"
    classes = len(model.spec.classes)
    known = f", {classes} classes" if classes else ""
    text = f"{height} x {width} pixels, {colours}{known}"
    return f'<h2>{escape(model.name)}</h2><p class="va-text">{text}</p>'


def perturbed_panels(original: Original, perturbed: Perturbed) -> str:
    """The original, its nine versions, and nine affine distortions.

    Versions that are the original itself have a frame.
    """
    same = [version.equal(original.image) for version in perturbed.versions]
    changed = same.count(False)
    framed = "" if changed == len(same) else "; a dashed frame marks an unchanged one"
    panels = (
        _panel("Original", original.caption, [original.image], [False], "va-one"),
        _panel("VAEAugment", f"{changed} of {len(same)} changed{framed}", perturbed.versions, same),
        _panel("Affine", "turned, sheared, scaled, shifted", perturbed.distorted),
    )
    return f'<div class="va-panels">{"".join(panels)}</div>'


def image_rows(rows: Mapping[str, Tensor]) -> str:
    """Rows of images [N, C, H, W] uint8, each with its caption."""
    return "".join(_row(caption, images) for caption, images in rows.items())


def fact_list(facts: Mapping[str, object]) -> str:
    """Names and what is to say of each."""
    items = (
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()
    )
    return f'<dl class="va-facts">{"".join(items)}</dl>'


def message(text: object) -> str:
    """What went wrong, in the place of the pictures."""
    return f'<p class="va-message" role="alert">{escape(str(text))}</p>'


def _row(caption: str, images: Tensor) -> str:
    columns = f'style="--columns: {len(images)}"'
    if not caption:
        return f'<div class="va-row va-plain" {columns}>{_tiles(images, "image")}</div>'
    head = f"<span>{escape(caption)}</span>"
    return f'<div class="va-row" {columns}>{head}{_tiles(images, caption)}</div>'


def _panel(
    title: str,
    text: str,
    images: Tensor | Sequence[Tensor],
    same: Sequence[bool] = (),
    kind: str = "",
) -> str:
    head = f"<h3>{escape(title)}</h3><p>{escape(text)}</p>"
    return f'<div class="va-panel"><div>{head}</div>{_tiles(images, title, same, kind)}</div>'


def _tiles(
    images: Tensor | Sequence[Tensor], name: str, same: Sequence[bool] = (), kind: str = ""
) -> str:
    tiles = (
        f'<img class="{"va-same" if number < len(same) and same[number] else ""}" '
        f'alt="{escape(name)} {number + 1}" src="{_source(image)}">'
        for number, image in enumerate(images)
    )
    return f'<div class="va-tiles {kind}">{"".join(tiles)}</div>'


def _source(image: Tensor) -> str:
    content = io.BytesIO()
    to_pil(image).save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
