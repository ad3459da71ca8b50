"""What the tests of training share."""

import torch

from vae_augment.training import (
    FitConfig,
    ImageData,
)

SHAPES = ("circle", "cross", "square")

SMALL = FitConfig(network="conv-small", conditional=True, epochs=3, batch_size=64)


def same_weights(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def shapes(count: int, side: int = 32, channels: int = 3) -> ImageData:
    """Circles, crosses and squares of any colour, size and place on a dark ground of any colour."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = []
    for index in range(count):
        radius, down, right = side * (
            torch.tensor([0.15, 0.35, 0.35]) + 0.2 * torch.rand(3, generator=generator)
        )
        dy, dx = (y - down).abs(), (x - right).abs()
        furthest = torch.maximum(dy, dx)
        cross = (torch.minimum(dy, dx) < radius / 3) & (furthest < radius)
        inside = (torch.hypot(dy, dx) < radius, cross, furthest < 0.85 * radius)[index % 3]
        bright, dark = torch.rand(2, channels, 1, 1, generator=generator)
        images.append(torch.where(inside, 0.5 + bright / 2, dark / 2))
    return ImageData(
        "shapes", (255 * torch.stack(images)).to(torch.uint8), torch.arange(count) % 3, SHAPES
    )
