"""Pictures made of rows of images with a caption each."""

import colorsys
import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..files import atomic_path
from ..pixels import from_batch, to_batch, to_pil
from ..runtime import VAEModel
from ..transform import VAEAugment

STRENGTHS = (0.5, 1.0, 2.0)
COLUMNS = 12
_TILE, _GAP, _CAPTION, _FONT_SIZE = 48, 4, 190, 15
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


class Row(NamedTuple):
    """A caption and images [N, C, H, W], float in [0, 1] or uint8. A row without images is a heading."""

    caption: str
    images: Tensor | None = None


def preview_rows(model: VAEModel, images: Tensor | None = None, seed: int = 0) -> list[Row]:
    """Originals, reconstructions, perturbations in both forms, and samples by class.

    Args:
        images: [N, C, H, W], of which some are shown; None = the model's own samples.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        originals = model.sample(COLUMNS, seed=seed + 1)[0] if images is None else _some(images)
        rows = [
            Row("originals" if images is not None else "its own samples", originals),
            Row("reconstructions", model.reconstruct(originals)),
            *(Row(f"strength {s:g}", _perturbed(model, originals, s, residual=False)) for s in STRENGTHS),
            *(Row(f"residual, strength {s:g}", _perturbed(model, originals, s, residual=True)) for s in STRENGTHS),
        ]
    return [*rows, Row("samples"), *sample_rows(model, seed)]


def sample_rows(model: VAEModel, seed: int = 0, most: int = 10) -> list[Row]:
    """Generated images, a row for each of the first `most` classes; two rows for a model without classes."""
    spec = model.spec
    if not spec.generates_classes:
        return [Row("drawn at random", images) for images in model.sample(2 * COLUMNS, seed=seed)[0].split(COLUMNS)]
    return [
        Row(name, model.sample(COLUMNS, labels=index, seed=seed)[0]) for index, name in enumerate(spec.classes[:most])
    ]


def save_rows(rows: list[Row], path: str | os.PathLike[str]) -> None:
    """Write the rows as one PNG, atomically."""
    with atomic_path(path) as temporary:
        draw_rows(rows).save(temporary, format="PNG", optimize=True)


def draw_rows(rows: list[Row]) -> Image.Image:
    """The rows below each other, captions on the left."""
    columns = max((len(row.images) for row in rows if row.images is not None), default=0)
    step = _TILE + _GAP
    canvas = Image.new("RGB", (_CAPTION + columns * step + _GAP, len(rows) * step + _GAP), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows):
        top = _GAP + number * step
        is_heading = row.images is None
        font = ImageFont.load_default(_FONT_SIZE + 3 * is_heading)
        pen.text((_GAP * 2, top + _TILE // 2), row.caption, fill=_INK, font=font, anchor="lm")
        for column, tile in enumerate([] if row.images is None else row.images):
            canvas.paste(_tile(tile), (_CAPTION + column * step, top))
    return canvas


def _tile(image: Tensor) -> Image.Image:
    pixels = image if image.dtype is torch.uint8 else from_batch(image, torch.uint8)
    return to_pil(pixels.cpu()).resize((_TILE, _TILE), Image.Resampling.NEAREST)


def _some(images: Tensor) -> Tensor:
    return images[torch.linspace(0, len(images) - 1, min(COLUMNS, len(images))).long()]


def _perturbed(model: VAEModel, images: Tensor, strength: float, *, residual: bool) -> Tensor:
    augment = VAEAugment(model, strength=strength, p=1.0, residual=residual)
    return augment(to_batch(images, model.spec.image_shape))


def save_scatter(
    points: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...], path: str | os.PathLike[str]
) -> None:
    """Draw points [N, 2] coloured by label, with a legend, as one PNG."""
    side, margin, dot = 700, 20, 2
    canvas = Image.new("RGB", (side + _CAPTION, side), _PAPER)
    pen = ImageDraw.Draw(canvas)
    low, high = points.min(0), points.max(0)
    places = margin + (points - low) / np.maximum(high - low, 1e-9) * (side - 2 * margin)
    for (x, y), label in zip(places, labels, strict=False):
        pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=_colour(int(label), len(classes)))
    for index, name in enumerate(classes):
        top = margin + index * 24
        pen.rectangle((side, top, side + 14, top + 14), fill=_colour(index, len(classes)))
        pen.text((side + 22, top + 7), name, fill=_INK, font=ImageFont.load_default(_FONT_SIZE), anchor="lm")
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG", optimize=True)


def _colour(label: int, classes: int) -> tuple[int, int, int]:
    if label < 0:
        return _INK
    red, green, blue = colorsys.hsv_to_rgb(label / max(1, classes), 0.85, 0.6 + 0.3 * (label % 2))
    return round(255 * red), round(255 * green), round(255 * blue)
