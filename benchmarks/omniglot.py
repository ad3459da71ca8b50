"""Omniglot's drawings as the images that the bundled model `glyphs` was trained on.

    python -m benchmarks.omniglot DIR glyphs.npz    # DIR holds omniglot/images_*.npz

All 1,623 characters at 28x28, in strokes of four thicknesses that do not depend on the drawing's
size; each character and thickness is a class of its own. The file has 103 MB.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

FILES = ("images_background.npz", "images_evaluation.npz")
THICKNESSES = (1.2, 1.8, 2.6, 3.6)  # in pixels of 28
PEN = 2.4  # how thick Omniglot's strokes are, in pixels of 105
SIDE = 28  # of the images
FINE = 3  # samples per pixel and axis
BOX = 20 - 2.6  # the longer side of the box of the strokes' middle lines


def centred(drawings: NDArray[np.bool_]) -> Tensor:
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


def render(drawings: NDArray[np.bool_]) -> Tensor:
    """bool [N, 105, 105] -> uint8 [4, N, 28, 28], one for each thickness."""
    ink = centred(drawings).numpy() > 0.4
    far = np.stack([distance_transform_edt(~image) for image in ink]).astype(np.float32)
    distance = torch.from_numpy(far)
    drawn = 1.4 / FINE  # about how thick the strokes are already, at the usual size
    images = []
    for thickness in THICKNESSES:
        reach = (thickness - drawn) / 2 * FINE + 0.75
        images.append(F.avg_pool2d((reach - distance).clamp(0, 1), FINE))
    return (torch.stack(images) * 255).round().to(torch.uint8)


def read(folder: Path) -> NDArray[np.bool_]:
    """All drawings, bool [characters, drawings, 105, 105], True where there is ink."""
    files = []
    for name in FILES:
        with np.load(folder / "omniglot" / name) as arrays:
            files.append(~arrays["images"])  # True is paper there
    return np.concatenate(files)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder that holds omniglot/")
    parser.add_argument("output", type=Path, help="file to write (.npz)")
    options = parser.parse_args(arguments)
    drawings = read(options.root)
    characters, per_character = drawings.shape[:2]
    flat = drawings.reshape(-1, *drawings.shape[2:])
    chunks = np.array_split(flat, max(1, len(flat) // 300))  # a chunk takes 30 MB
    images = torch.cat([render(chunk) for chunk in chunks], 1)
    labels = np.arange(len(THICKNESSES) * characters).repeat(per_character)
    np.savez(options.output, images=images.reshape(-1, 1, SIDE, SIDE).numpy(), labels=labels)
    print(f"wrote {options.output}: {len(labels):,} images of {labels.max() + 1:,} classes")


if __name__ == "__main__":
    main()
