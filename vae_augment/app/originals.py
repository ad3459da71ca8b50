"""The images that the page perturbs: of a data set, of a model, or of a dropped file."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torchvision.transforms.v2 import functional as F

from ..datasets.synthetic import VAESyntheticDataset
from ..errors import InputError
from ..model.vae_model import VAEModel
from ..training.data import ImageData, load_data
from .code import quoted

SAMPLES = 100  # of a model, where there are no other images
Shape = tuple[int, int, int]


class Original(NamedTuple):
    """An image as the model takes it, and how it came about.

    image: [C, H, W] uint8.
    caption: where it comes from, and what was done to it.
    imports, code: lines of Python that give the same `image`.
    label: the name of its class, "" where it is not known.
    """

    image: Tensor
    caption: str
    imports: tuple[str, ...]
    code: tuple[str, ...]
    label: str = ""


class Originals(Protocol):
    """Images to choose from by number: `DataImages` or `Samples`."""

    def __len__(self) -> int: ...

    def original(self, index: int, shape: Shape) -> Original:
        """Image number `index` as a model of `shape` takes it."""


@dataclass(frozen=True)
class DataImages:
    """The images of a data set.

    `source`, `root` and `options` are the arguments of `load_data` that gave `data`.
    """

    data: ImageData
    source: str
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.data)

    def original(self, index: int, shape: Shape) -> Original:
        """Image number `index`, resized and turned grey or coloured where `shape` asks for it."""
        label = int(self.data.labels[index])
        name = self.data.classes[label] if label >= 0 else ""
        places = [quoted(each) for each in (self.source, self.root) if each is not None]
        options = [f"{name}={value!r}" for name, value in self.options.items()]
        arguments = ", ".join(places + options)
        what = f"image {index} of {self.data.name}"
        return _fitted(
            self.data.images[index],
            f"{what}, class {name}" if name else what,
            ("from vae_augment.training import load_data",),
            f"image = load_data({arguments}).images[{index}]",
            shape,
        )._replace(label=name)


@dataclass(frozen=True)
class Samples:
    """Images that a model draws, its classes in turn. `name` is the argument of `load`."""

    model: VAEModel
    name: str

    def __len__(self) -> int:
        return SAMPLES

    def original(self, index: int, shape: Shape) -> Original:
        """Sample number `index`, changed as an image of a data set would be."""
        image, label = VAESyntheticDataset(self.model, length=SAMPLES, output="uint8")[index]
        name = self.model.spec.classes[label] if label >= 0 else ""
        what = f"sample {index} of {self.model.name}"
        made = f'VAESyntheticDataset({quoted(self.name)}, length={SAMPLES}, output="uint8")'
        return _fitted(
            image,
            f"{what}, class {name}" if name else what,
            ("from vae_augment import VAESyntheticDataset",),
            f"image, label = {made}[{index}]",
            shape,
        )._replace(label=name)


@functools.lru_cache(maxsize=4)
def dropped(path: Path, shape: Shape) -> Original:
    """The image of a file. `InputError`, which names the file, where it cannot be read."""
    try:
        pixels = load_data(path, frames="first").images[0]
    except InputError as error:  # it says the whole path, which is that of a copy
        raise InputError(str(error).replace(str(path), path.name)) from None
    return _fitted(
        pixels,
        path.name,
        ("from vae_augment.training import load_data",),
        f'image = load_data({quoted(path.name)}, frames="first").images[0]',
        shape,
    )


def _fitted(
    image: Tensor, caption: str, imports: tuple[str, ...], line: str, shape: Shape
) -> Original:
    """The image with the channels and the size of `shape`; caption and code say what changed."""
    channels, height, width = shape
    lines = [line]
    changes = []
    if len(image) != channels:
        change = "rgb_to_grayscale" if channels == 1 else "grayscale_to_rgb"
        image = getattr(F, change)(image)
        lines.append(f"image = F.{change}(image)")
        changes.append("in grey" if channels == 1 else "as red, green and blue")
    if tuple(image.shape[1:]) != (height, width):
        before = f"{image.shape[2]} x {image.shape[1]}"
        image = F.resize(image, [height, width])
        lines.append(f"image = F.resize(image, [{height}, {width}])")
        changes.append(f"resized from {before} to {width} x {height}")
    if changes:
        imports = (*imports, "from torchvision.transforms.v2 import functional as F")
        caption = f"{caption}, {' and '.join(changes)}"
    return Original(image.contiguous(), caption, imports, tuple(lines))
