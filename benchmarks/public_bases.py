"""What is bundled of public images alone: the bases `strokes`, `objects`, the start `photographs`.

    python -m benchmarks.public_bases strokes DATA -o strokes.safetensors
    python -m benchmarks.public_bases objects DATA -o objects.onnx
    python -m benchmarks.public_bases photographs DATA -o photographs.safetensors
    python -m benchmarks.public_bases linear-strokes DATA -o linear-strokes.onnx    # not bundled

DATA is a folder with `omniglot/`, `handwriting/` and `cifar10grey/`, as ../shared/data.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from vae_augment.exporters import export
from vae_augment.training import FitConfig, ImageData, fit, save_checkpoint

SIDE = 28
BOXES = 16, 24  # the longer side of the ink, in pixels; MNIST's is 20
THICKEST = 3  # pixels of 105 that a pen of Omniglot, about 3 wide, gains on each side
COMPONENTS = 150
COMPONENTS_OF_STROKES = 50
EPOCHS_OF_PHOTOGRAPHS = 8

Grey = NDArray[np.uint8]
app = typer.Typer(add_completion=False)
Data = Annotated[Path, typer.Argument(metavar="DATA")]
Output = Annotated[Path, typer.Option("--output", "-o")]


@app.command()
def strokes(data: Data, output: Output, epochs: int | None = None) -> None:
    """Train a VAE on Omniglot and Devanagari handwriting."""
    handwriting = unlabelled("omniglot and devanagari", stroke_images(data))
    fit(handwriting, output, FitConfig(latent_dim=32, epochs=epochs), report=print)


@app.command()
def objects(data: Data, output: Output) -> None:
    """Write the principal components of grey CIFAR-10 as a linear VAE."""
    write_components(grey_photographs(data), COMPONENTS, output)


@app.command()
def photographs(data: Data, output: Output) -> None:
    """Train a VAE with random detail on grey CIFAR-10, for `fit` to start from."""
    images = unlabelled("cifar-10 in grey", grey_photographs(data))
    config = FitConfig(network="energy", epochs=EPOCHS_OF_PHOTOGRAPHS)
    start = fit(images, output, config, report=print)
    # Nobody samples from it.
    save_checkpoint(replace(start, spec=replace(start.spec, latents=None)), output)


@app.command()
def linear_strokes(data: Data, output: Output) -> None:
    """Write the principal components of the images of `strokes`, which a VAE has to beat."""
    write_components(stroke_images(data), COMPONENTS_OF_STROKES, output)


def write_components(images: Grey, count: int, output: Path) -> None:
    """Write the first principal components of images [N, 28, 28] as a linear VAE."""
    rows = torch.from_numpy(images)[:, None].double() / 255
    components = PrincipalComponents(rows, count)
    export(components.eval(), output, image_shape=(1, SIDE, SIDE), overwrite=True)


def unlabelled(name: str, images: Grey) -> ImageData:
    """Images [N, 28, 28] to train on without labels."""
    return ImageData(name, torch.from_numpy(images)[:, None], torch.full((len(images),), -1))


def grey_photographs(data: Path) -> Grey:
    """Grey CIFAR-10, [N, 28, 28]."""
    with np.load(data / "cifar10grey" / "train.npz") as arrays:
        images: Grey = arrays["images"]
    return images


def stroke_images(data: Path, seed: int = 0) -> Grey:
    """Handwriting, ink bright on black: each Omniglot drawing twice, each Devanagari one once."""
    generator = np.random.default_rng(seed)
    images = []
    for name in ("images_background", "images_evaluation"):
        with np.load(data / "omniglot" / f"{name}.npz") as arrays:
            drawings = ~arrays["images"].reshape(-1, 105, 105)
        for drawing in np.repeat(drawings, 2, axis=0):
            thick = with_thicker_pen(drawing, int(generator.integers(THICKEST + 1)))
            images.append(centred(thick.astype(np.uint8) * 255, int(generator.integers(*BOXES))))
    for name in ("dhcd-train", "dhcd-test"):
        with np.load(data / "handwriting" / f"{name}.npz") as arrays:
            drawings = arrays["images"]
        images += [centred(drawing, int(generator.integers(*BOXES))) for drawing in drawings]
    return np.stack(images)


def with_thicker_pen(drawing: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """The ink and all within `margin` pixels of it."""
    if not margin:
        return drawing
    return ndimage.distance_transform_edt(~np.pad(drawing, margin)) <= margin


def centred(drawing: Grey, box: int) -> Grey:
    """The ink scaled into a square of side `box`, its centre of mass in the middle, [28, 28]."""
    rows, columns = np.nonzero(drawing > 40)
    ink = drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = box / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))
    row, column = ndimage.center_of_mass(small)
    top = int(np.clip(round(SIDE / 2 - 0.5 - row), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - 0.5 - column), 0, SIDE - width))
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = small
    return image


class PrincipalComponents(nn.Module):
    """Projection onto principal components, scaled so that the latents have variance 1.

    The posterior's variance is that of probabilistic principal component analysis (Tipping and
    Bishop 1999, section 3.2): the mean variance of the directions left out, over the component's.

    Args:
        images: [N, C, H, W] float64 in [0, 1].
        count: how many components.
    """

    def __init__(self, images: Tensor, count: int) -> None:
        super().__init__()
        rows = images.flatten(1)
        centre = rows.mean(0)
        variance, directions = torch.linalg.eigh(torch.cov(rows.T))
        kept = variance[-count:].flip(0)
        scaled = directions[:, -count:].flip(1) * kept.sqrt()
        left_out = variance[:-count].mean()
        self.image_shape = images.shape[1:]
        self.centre: Tensor
        self.project: Tensor
        self.components: Tensor
        self.logvar: Tensor
        self.register_buffer("centre", centre.float())
        self.register_buffer("project", (scaled / kept).float())
        self.register_buffer("components", scaled.T.float())
        self.register_buffer("logvar", (left_out / kept).log().float())

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> projections and their log-variance, each [B, D]."""
        mean = (image.flatten(1) - self.centre) @ self.project
        return mean, self.logvar + 0 * mean

    def decode(self, latent: Tensor) -> Tensor:
        """Latents [B, D] -> images in [0, 1]."""
        pixels = latent @ self.components + self.centre
        return pixels.clamp(0, 1).unflatten(1, self.image_shape)


if __name__ == "__main__":
    app()
