"""Omniglot's drawings at 28x28 with equal stroke thickness, whatever the size of the drawing.

python glyphs.py DATA                            # writes background.pt and evaluation.pt, for
study.py python glyphs.py DATA glyphs.npz                 # one class per character and thickness,
for fit --redraw python glyphs.py DATA background.npz background  # the same of the 964
background characters alone
"""

import sys

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

THICKNESSES = (1.2, 1.8, 2.6, 3.6)  # of 28 pixels
PEN = 2.4  # of 105 pixels: how thick Omniglot's strokes are
BOX, SIDE, FINE = 20, 28, 3  # the ink's longer side, the image, and samples per pixel and axis
MIDDLE = BOX - 2.6  # the box of the strokes' middle lines


def centred(masks: np.ndarray) -> Tensor:
    """bool [N, 105, 105] -> float [N, 84, 84].

    Scaled into a box, the centre of mass in the middle.
    """
    images = torch.from_numpy(masks.astype(np.float32))
    side = images.shape[-1]
    place = torch.arange(side) + 0.5
    mass = images.sum((1, 2))
    rows, columns = images.sum(2), images.sum(1)
    centre = torch.stack([columns @ place, rows @ place], 1) / mass[:, None]
    extent = torch.stack([_extent(rows), _extent(columns)]).amax(0)
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = ((extent - PEN).clamp(min=8) / MIDDLE * SIDE / side).float()
    theta[:, :, 2] = 2 * centre / side - 1
    grid = F.affine_grid(theta, [len(images), 1, SIDE * FINE, SIDE * FINE], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def render(masks: np.ndarray) -> Tensor:
    """bool [N, 105, 105] -> uint8 [4, N, 28, 28], one for each thickness."""
    fine = centred(masks).numpy() > 0.4
    distance = torch.from_numpy(
        np.stack([distance_transform_edt(~image) for image in fine]).astype(np.float32)
    )
    scale = 1.4 / FINE  # about how thick the strokes are already, at the usual size
    images = [
        F.avg_pool2d(((t - scale) / 2 * FINE + 0.75 - distance).clamp(0, 1), FINE)
        for t in THICKNESSES
    ]
    return (torch.stack(images) * 255).round().to(torch.uint8)


def _extent(sums: Tensor) -> Tensor:
    ink = (sums > 0).float()
    place = torch.arange(ink.shape[1])
    return (ink * place).amax(1) - torch.where(ink > 0, place, 1000).amin(1) + 1


def main(data: str, output: str = "", *names: str) -> None:
    torch.set_num_threads(1)
    parts = []
    for part in names or ("background", "evaluation"):
        found = np.load(f"{data}/omniglot/images_{part}.npz")["images"]  # True is paper
        chunks = np.array_split(~found.reshape(-1, *found.shape[2:]), 100)
        images = torch.cat([render(chunk) for chunk in chunks], 1)
        images = images.view(len(THICKNESSES), *found.shape[:2], SIDE, SIDE)
        parts.append(images)
        if not output:
            torch.save(images, f"{part}.pt")
        print(part, images.shape, flush=True)
    if output:
        images = torch.cat(parts, 1)
        levels, characters, drawings = images.shape[:3]
        labels = torch.arange(levels * characters).repeat_interleave(drawings)
        np.savez(output, images=images.reshape(-1, 1, SIDE, SIDE).numpy(), labels=labels.numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
