"""Few images per class, classes of unlike sizes, and many classes, with the defaults of `fit`."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_augment import VAESyntheticDataset
from vae_augment.exporters import export
from vae_augment.training import FitConfig, ImageData, describe_quality, fit


def patterns(count: int, side: int = 8) -> Tensor:
    """Random blocks of ink, [count, side, side] in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    blocks = (torch.rand(count, side // 2, side // 2, generator=generator) < 0.4).float()
    return blocks.repeat_interleave(2, 1).repeat_interleave(2, 2)


def written(sizes: list[int]) -> ImageData:
    """A class for each of the sizes; each image has its class's pattern, moved, on some noise."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    inks = 0.6 + 0.25 * torch.rand(len(labels), 1, 1, generator=generator)
    images = inks * patterns(len(sizes))[labels]
    down, right = torch.randint(-1, 2, (2, len(labels)), generator=generator)
    moves = zip(images, down.tolist(), right.tolist(), strict=True)
    images = torch.stack([image.roll((dy, dx), (0, 1)) for image, dy, dx in moves])
    images += 0.15 * torch.rand(images.shape, generator=generator)
    classes = tuple(f"glyph {label}" for label in range(len(sizes)))
    return ImageData("written", (255 * images).to(torch.uint8)[:, None], labels, classes)


def seen_as(images: Tensor, labels: Tensor, classes: int) -> Tensor:
    """[class, pattern]: the share of a class's images that look most like a pattern, moved or not."""
    moved = torch.stack(
        [patterns(classes).roll((dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    )
    rows = torch.nn.functional.normalize(images.flatten(1) - images.flatten(1).mean(1, True))
    known = moved.flatten(2) - moved.flatten(2).mean(2, True)
    likeness = torch.nn.functional.normalize(known, dim=2) @ rows.T
    nearest = F.one_hot(likeness.amax(0).argmax(0), classes).double()
    return torch.stack([nearest[labels == label].mean(0) for label in range(classes)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", [[7] * 40, [100, 100, 3, 100, 100], [40] * 46], ids=["40x7", "one of 3", "46x40"]
)
def test_no_dead_model_and_no_class_that_looks_like_another(
    sizes: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the class of 3
        facts = fit(written(sizes), path, FitConfig()).spec.training
    quality = describe_quality(facts)
    assert quality is not None
    assert not quality.is_poor, quality.text
    assert facts["dimensions_in_use"] >= 2
    export(path, path.with_suffix(".onnx"))
    count = 50 * len(sizes)
    data = VAESyntheticDataset(path.with_suffix(".onnx"), count, provider="cpu")
    images = torch.cat([batch for batch, _ in data.batches(1000)])
    seen = seen_as(images, data.targets, len(sizes))
    assert seen.diag().mean() > 0.9, seen.diag()
    assert seen.argmax(1).equal(torch.arange(len(sizes))), seen.diag()


def test_the_measure_of_likeness_can_tell() -> None:
    data = written([20] * 10)
    assert seen_as(data.images / 255, data.labels, 10).diag().min() == 1
    others = (data.labels + 1) % 10
    assert seen_as(data.images / 255, others, 10).diag().max() < 0.1
