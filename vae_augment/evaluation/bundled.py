"""The bundled models, as their files describe them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model.evidence import SAMPLES_ONLY
from ..model.file import BUNDLED
from ..model.vae_model import VAEModel, load


@dataclass(frozen=True)
class BundledModel:
    """What a bundled file says of itself; None where it does not say.

    Attributes:
        name: as `load` takes it.
        description: what it draws.
        images: how many it was trained on.
        images_bytes: their size, uncompressed, a byte per pixel and channel.
        file_bytes: the size of the file.
        samples: the accuracy in percent that a classifier learns from its samples alone.
        real: that which it learns from the training images.
        source, licence: of the training images.
    """

    name: str
    description: str
    images: int | None
    images_bytes: int | None
    file_bytes: int
    samples: float | None
    real: float | None
    source: str | None
    licence: str | None


def bundled_models() -> list[BundledModel]:
    """All bundled models, in the order in which `load` names them."""
    return [_described(load(name, provider="cpu")) for name in BUNDLED]


def table(models: list[BundledModel]) -> str:
    """The models as lines of text with a title."""
    title = ("name", "what it draws", "stands for", "file", "samples / real", "source, licence")
    rows: list[tuple[str, ...]] = [title, *map(_row, models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _described(model: VAEModel) -> BundledModel:
    spec = model.spec
    images = _count(spec.training.get("images"))
    figure: Mapping[str, Any] = spec.evidence.get(SAMPLES_ONLY, {})
    return BundledModel(
        name=model.name,
        description=_what_it_draws(model),
        images=images,
        images_bytes=None if images is None else images * math.prod(spec.image_shape),
        file_bytes=len(model.file.content),
        samples=figure.get("samples"),
        real=figure.get("real"),
        source=spec.training.get("images_from"),
        licence=spec.training.get("images_licence"),
    )


def _what_it_draws(model: VAEModel) -> str:
    spec = model.spec
    shape = "x".join(map(str, spec.image_shape))
    if not spec.kind.samples:
        return f"redraws images, {shape}"
    return f"{len(spec.classes)} classes, {shape}" if spec.classes else f"no classes, {shape}"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _row(model: BundledModel) -> tuple[str, ...]:
    stands_for = "unknown"
    if model.images is not None and model.images_bytes is not None:
        stands_for = f"{model.images:,} images, {_megabytes(model.images_bytes)}"
    figure = "not measured"
    if model.samples is not None and model.real is not None:
        figure = f"{model.samples:.2f} / {model.real:.2f} %"
    source = model.source or "source not stated"
    origin = f"{source}; {model.licence or 'licence not stated'}"
    file_size = _megabytes(model.file_bytes)
    return model.name, model.description, stands_for, file_size, figure, origin


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
