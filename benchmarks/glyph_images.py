"""The handwriting that the bundled model `glyphs` was trained on.

    python -m benchmarks.glyph_images DATA glyphs.npz

DATA is a folder with `omniglot/` and `handwriting/`, as ../shared/data. The 964 characters of
Omniglot's background alphabets are drawn at 28x28 with pens of four ranges; each character and
range is a class of its own. The ranges overlap, so that two drawings of a class differ in
thickness, though not much. Each of the 46 Devanagari characters (the training images of DHCD) is a
class as it is, where it fills the frame, and another one with its ink in a square of 20, as
Omniglot's is. Omniglot's 20 evaluation alphabets are left out, so that the model can be measured on
characters that it has not seen (benchmarks/redrawing.py). The file has 115 MB.
"""

from pathlib import Path

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from benchmarks.public_bases import centred as in_square

Bits = NDArray[np.bool_]
Images = NDArray[np.uint8]

BACKGROUND, EVALUATION = "images_background.npz", "images_evaluation.npz"
PENS = ((1.0, 2.0), (1.5, 2.7), (2.1, 3.5), (2.8, 4.2))  # thinnest and thickest, in pixels of 28
PEN = 2.4  # how thick Omniglot's strokes are, in pixels of 105
SIDE = 28  # of the images
FINE = 3  # samples per pixel and axis
SQUARE = 20  # the longer side of the ink
BOX = SQUARE - 2.6  # the same of the strokes' middle lines


def main(data: Path, output: Path, seed: int = 0) -> None:
    """Write the images and their classes into an .npz file."""
    omniglot = read(data / "omniglot" / BACKGROUND)
    images, labels = with_pens(omniglot, torch.Generator().manual_seed(seed))
    with np.load(data / "handwriting" / "dhcd-train.npz") as arrays:
        devanagari, characters = arrays["images"], arrays["labels"]
    small = np.stack([in_square(image, SQUARE) for image in devanagari])
    of_devanagari = labels.max() + 1 + characters
    of_small = of_devanagari.max() + 1 + characters
    images = np.concatenate([images, devanagari, small])[:, None]
    labels = np.concatenate([labels, of_devanagari, of_small])
    np.savez(output, images=images, labels=labels)
    print(f"wrote {output}: {len(labels):,} images of {labels.max() + 1:,} classes")


def read(path: Path) -> Bits:
    """Drawings of Omniglot, [characters, drawings, 105, 105], True where there is ink."""
    with np.load(path) as arrays:
        paper: Bits = arrays["images"]
    return ~paper


def with_pens(drawings: Bits, generator: torch.Generator) -> tuple[Images, NDArray[np.int64]]:
    """All drawings with a pen of each range: images [N, 28, 28], and their classes."""
    characters, per_character = drawings.shape[:2]
    flat = drawings.reshape(-1, *drawings.shape[2:])
    chunks = np.array_split(flat, max(1, len(flat) // 300))  # a chunk takes 30 MB
    images = []
    for thinnest, thickest in PENS:
        for chunk in chunks:
            share = torch.rand(len(chunk), generator=generator)
            images.append(render(chunk, thinnest + (thickest - thinnest) * share))
    labels = np.arange(len(PENS) * characters).repeat(per_character)
    return torch.cat(images).numpy(), labels


def render(drawings: Bits, thickness: Tensor) -> Tensor:
    """bool [N, 105, 105] and [N] thicknesses in pixels of 28 -> uint8 [N, 28, 28]."""
    ink = centred(drawings).numpy() > 0.4
    far = np.stack([distance_transform_edt(~image) for image in ink]).astype(np.float32)
    drawn = 1.4 / FINE  # about how thick the strokes are already, at the usual size
    reach = (thickness - drawn) / 2 * FINE + 0.75
    fine = (reach[:, None, None] - torch.from_numpy(far)).clamp(0, 1)
    return (F.avg_pool2d(fine, FINE) * 255).round().to(torch.uint8)


def centred(drawings: Bits) -> Tensor:
    """bool [N, 105, 105] -> float [N, 84, 84], scaled into a box around the centre of mass."""
    images = torch.from_numpy(drawings.astype(np.float32))
    side = images.shape[-1]
    place = torch.arange(side) + 0.5
    rows = images.sum(2)
    columns = images.sum(1)
    centre = torch.stack([columns @ place, rows @ place], 1) / images.sum((1, 2))[:, None]
    extent = torch.stack([_extent(rows), _extent(columns)]).amax(0)
    scale = (extent - PEN).clamp(min=8) / BOX * SIDE / side
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = scale
    theta[:, 1, 1] = scale
    theta[:, :, 2] = 2 * centre / side - 1
    grid = F.affine_grid(theta, [len(images), 1, SIDE * FINE, SIDE * FINE], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def _extent(ink: Tensor) -> Tensor:
    """From the ink [N, S] of each row or column, how many rows or columns a drawing spans, [N]."""
    has_ink = ink > 0
    place = torch.arange(ink.shape[1])
    last = torch.where(has_ink, place, -1).amax(1)
    first = torch.where(has_ink, place, ink.shape[1]).amin(1)
    return (last - first + 1).float()


if __name__ == "__main__":
    typer.run(main)
