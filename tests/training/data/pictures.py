"""Small images and files of them, which several test modules write."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NOISE = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8)).astype(np.uint8)
NOISE[:, 0, 0, :2] = (0, 255)  # each image has the whole range


def grey(index: int = 0) -> Image.Image:
    """One of `NOISE` as a PIL image."""
    return Image.fromarray(NOISE[index, 0])


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The content of an image file."""
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def write_files(root: Path, files: Mapping[str, Any]) -> Path:
    """Write a folder: images as PNG, bytes as they are, paths as links, None as empty folders."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else encoded(content))
    return root
