"""Pictures of rows of images with captions, and scatter plots."""

import os
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InputError
from ..files import atomic_path
from ..model.pixels import from_batch, to_batch, to_pil
from ..model.vae_model import VAEModel
from ..transforms.augment import VAEAugment

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
COLUMNS = 12
_TILE, _GAP, _CAPTION, _FONT_SIZE = 48, 4, 190, 15
_INK = (40, 40, 40)
_PAPER = (255, 255, 255)


class Row(NamedTuple):
    """A caption and images [N, C, H, W], float in [0, 1] or uint8.

    A row without images is a heading.
    """

    caption: str
    images: Tensor | None = None


def preview_rows(model: VAEModel, images: Tensor | None = None, seed: int = 0) -> list[Row]:
    """Images reconstructed and perturbed, and samples of each class.

    Args:
        model: the VAE to show.
        images: [N, C, H, W], of which a dozen are taken; None = samples of the model.
        seed: of the noise and of the samples.
    """
    kind = model.spec.kind
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if images is None:
            caption = "its own samples"
            originals = model.sample(COLUMNS, seed=seed + 1)[0]
        else:
            chosen = torch.linspace(0, len(images) - 1, min(COLUMNS, len(images))).long()
            caption = "originals"
            originals = images[chosen]
        rows = [Row(caption, originals), Row("reconstructions", model.reconstruct(originals))]
        batch = to_batch(originals, model.spec.image_shape)
        for residual in sorted(kind.residuals):
            prefix = "residual, " if residual else ""
            for strength in STRENGTHS:
                augment = VAEAugment(model, strength=strength, p=1.0, residual=residual)
                rows.append(Row(f"{prefix}strength {strength:g}", augment(batch)))
    return [*rows, Row("samples"), *_sample_rows(model, seed)] if kind.samples else rows


def save_rows(rows: list[Row], path: str | os.PathLike[str]) -> None:
    """Write the rows as one PNG, atomically."""
    with atomic_path(path) as temporary:
        draw_rows(rows).save(temporary, format="PNG", optimize=True)


def draw_rows(rows: list[Row]) -> Image.Image:
    """The rows below each other, captions on the left, at most 12 images per row."""
    rows = [
        row if row.images is None else row._replace(images=row.images[:COLUMNS]) for row in rows
    ]
    columns = max((len(row.images) for row in rows if row.images is not None), default=0)
    step = _TILE + _GAP
    canvas = Image.new("RGB", (_CAPTION + columns * step + _GAP, len(rows) * step + _GAP), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows):
        top = _GAP + number * step
        font = ImageFont.load_default(_FONT_SIZE if row.images is not None else _FONT_SIZE + 3)
        pen.text((_GAP * 2, top + _TILE // 2), row.caption, fill=_INK, font=font, anchor="lm")
        for column, tile in enumerate([] if row.images is None else row.images):
            pixels = tile if tile.dtype is torch.uint8 else from_batch(tile, torch.uint8)
            picture = to_pil(pixels.cpu()).resize((_TILE, _TILE), Image.Resampling.NEAREST)
            canvas.paste(picture, (_CAPTION + column * step, top))
    return canvas


def save_scatter(
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    path: str | os.PathLike[str],
) -> None:
    """Draw points [N, 2], coloured by their labels (-1 = none), as one PNG.

    `InputError` without matplotlib.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "--plot of embed needs matplotlib. Install it: pip install matplotlib."
        ) from None

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(points[labels < 0, 0], points[labels < 0, 1], s=8, color="black")
    for label, name in enumerate(classes):
        x, y = points[labels == label].T
        axes.scatter(x, y, s=8, color=colormaps["turbo"](label / len(classes)), label=name)
    if classes:
        figure.legend(loc="outside right upper")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _sample_rows(model: VAEModel, seed: int) -> list[Row]:
    """A row for each of the first ten classes; two rows for a model without classes."""
    spec = model.spec
    if not spec.generates_classes:
        return [
            Row("drawn at random", images)
            for images in model.sample(2 * COLUMNS, seed=seed)[0].split(COLUMNS)
        ]
    return [
        Row(name, model.sample(COLUMNS, labels=i, seed=seed)[0])
        for i, name in enumerate(spec.classes[:10])
    ]
