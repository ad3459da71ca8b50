"""Draws docs/pictures/*.png from samples of the bundled models.

    python docs/make_pictures.py [NAME ...]

No image of a data set is shown but in "closest" and "own_images", whose digits are those of
scikit-learn (CC BY 4.0, E. Alpaydin and C. Kaynak). Some pictures train a model for minutes.
"""

import functools
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2.functional import pil_to_tensor

from vae_augment import VAEAugment, VAEModel, load
from vae_augment.evaluation import audit
from vae_augment.evaluation.pictures import COLUMNS, Row, preview_rows, save_rows
from vae_augment.evaluation.vaes import fit_model
from vae_augment.exporters import export
from vae_augment.model.pixels import from_batch
from vae_augment.training import FitConfig, ImageData, load_data

FOLDER = Path(__file__).parent / "pictures"
SEED = 4  # of the samples
NOISE_SEED = 4  # of the perturbations; with this one strength 6 spoils the 5
LETTERS = "ψЖλЯ♪§∑&"  # printed, in place of drawings of a data set
NOISE = 0.5  # standard deviation
STRIPE = 0.35  # how much darker every second line of the striped garments is


def samples(name: str) -> tuple[Tensor, Tensor]:
    """Generated images [N, C, H, W] and their labels [N], all classes in turn."""
    images, labels = load(name, provider="cpu").sample(COLUMNS, seed=SEED)
    assert labels is not None
    return images, labels


def perturbed(images: Tensor, labels: Tensor, name: str, **options: object) -> Tensor:
    """All images perturbed by the bundled model `name`, with the same noise in every row."""
    torch.manual_seed(NOISE_SEED)
    # Strengths are those of the pictures' captions, in spreads of the posterior.
    usual: dict[str, Any] = {"residual": False, "unit": 1.0}
    augment = VAEAugment(name, p=1.0, provider="cpu", **(usual | options))
    if "labels_getter" not in options:
        return augment(images)
    # One by one: a batch of all classes holds too few partners of each class, the model's bank has
    # 64.
    return torch.stack(
        [augment(image, label)[0] for image, label in zip(images, labels, strict=True)]
    )


def striped(images: Tensor) -> Tensor:
    """The images with every second line darker: detail that the model has never seen."""
    lines = torch.ones(images.shape[-2], 1)
    lines[::2] = 1 - STRIPE
    return images * lines


def mode_rows(strengths: tuple[float, ...], **options: object) -> list[Row]:
    """Samples of the bundled digits and what one mode makes of them, weakly to strongly."""
    images, labels = samples("mnist")
    rows = [
        Row(f"strength {s:g}", perturbed(images, labels, "mnist", strength=s, **options))
        for s in strengths
    ]
    return [Row("samples of the model", images), *rows]


def residual() -> list[Row]:
    """What `residual` keeps: stripes drawn on samples, lost without it and kept with it."""
    images, labels = samples("fashion-mnist")
    images = striped(images)
    plain = perturbed(images, labels, "fashion-mnist", strength=1.0)
    kept = perturbed(images, labels, "fashion-mnist", strength=1.0, residual=True)
    return [
        Row("samples with stripes", images),
        Row("strength 1", plain),
        Row("residual, strength 1", kept),
    ]


def glyphs() -> list[Row]:
    """Digits, letters and symbols, and six redrawings of each by the bundled model `glyphs`."""
    digits, _ = samples("mnist")
    images = torch.cat([digits[[2, 3, 4, 7]], *map(printed, LETTERS)])
    torch.manual_seed(NOISE_SEED)
    augment = VAEAugment("glyphs", p=1.0, strength=3, provider="cpu")
    return [
        Row("given", images),
        *(Row("redrawn" if row == 0 else "", augment(images)) for row in range(6)),
    ]


def start() -> list[Row]:
    """What the README opens with: redrawings, and samples of both bundled generators."""
    redraws = Row('VAEAugment("glyphs", strength=3) redraws images')
    generates = Row("VAESyntheticDataset generates labelled images from a file")
    return [redraws, *glyphs()[:4], generates, *generated(lines=2)]


def generated(lines: int) -> list[Row]:
    """So many lines of samples of both bundled generators, all classes in turn."""
    rows = []
    for name in ("mnist", "fashion-mnist"):
        images, _ = load(name, provider="cpu").sample(lines * COLUMNS, seed=SEED)
        captions = [f'"{name}"', *[""] * (lines - 1)]
        rows += [Row(*row) for row in zip(captions, images.split(COLUMNS), strict=True)]
    return rows


def printed(character: str) -> Tensor:
    """A character of a font as an image [1, 1, 28, 28], as large as the digits."""
    from matplotlib import font_manager

    path = font_manager.findfont("DejaVu Sans")
    picture = Image.new("L", (112, 112))
    ImageDraw.Draw(picture).text(
        (56, 56), character, fill=255, font=ImageFont.truetype(path, 84), anchor="mm"
    )
    image = pil_to_tensor(picture.crop(picture.getbbox()))[None].float() / 255
    scale = 20 / max(image.shape[-2:])
    image = F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True)
    height, width = image.shape[-2:]
    top, left = (28 - height) // 2, (28 - width) // 2
    return F.pad(image, (left, 28 - width - left, top, 28 - height - top)).clamp(0, 1)


def denoise() -> list[Row]:
    """Samples under noise, and cleaned by a model that was trained on 10,000 other samples."""
    images, labels = load("mnist", provider="cpu").sample(10_000, seed=SEED + 1)
    assert labels is not None
    data = ImageData("samples", from_batch(images, torch.uint8), labels, tuple(map(str, range(10))))
    model = fit_model(data, FitConfig(denoise=NOISE))
    clean, _ = samples("mnist")
    noisy = (
        clean + NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(SEED))
    ).clamp(0, 1)
    cleaned = model.reconstruct(noisy)
    return [
        Row("samples of the model", clean),
        Row(f"with noise {NOISE}", noisy),
        Row("cleaned", cleaned),
    ]


def extremes() -> list[Row]:
    """Samples of `mnist` and printed characters, ordered by its anomaly score."""
    model = load("mnist", provider="cpu")
    digits, _ = model.sample(100, seed=SEED)
    images = torch.cat([digits, *map(printed, LETTERS)])
    ranked = images[model.anomaly_score(images).argsort()]
    return [Row("most typical", ranked), Row("least typical", ranked.flip(0))]


@functools.cache  # two pictures show it
def digits_vae() -> VAEModel:
    """A VAE of scikit-learn's digits."""
    config = FitConfig(network="conv-small", epochs=100, learning_rate=2e-3, beta=0.2)
    return fit_model(load_data("digits"), config)


def closest() -> list[Row]:
    """What `audit --plot` draws of a VAE of scikit-learn's digits."""
    pairs = audit(digits_vae(), load_data("digits"), load_data("digits", train=False)).closest
    assert pairs is not None  # the model draws samples
    return [
        Row("sample", pairs.samples),
        Row("nearest training image", pairs.train),
        Row("nearest unseen image", pairs.test),
    ]


def own_images() -> list[Row]:
    """What `preview` draws of a VAE of scikit-learn's digits."""
    return preview_rows(digits_vae(), load_data("digits").images)


def exported() -> list[Row]:
    """Reconstructions by the module of docs/export.md, and by the file that it became."""
    images, _ = load("mnist", provider="cpu").sample(10_000, seed=SEED + 1)
    torch.manual_seed(SEED)
    vae = Plain()
    optimizer = torch.optim.Adam(vae.parameters())
    for _ in range(3_000):
        batch = images[torch.randint(len(images), (100,))]
        mean, logvar = vae.encode(batch)
        decoded = vae.decode(mean + (logvar / 2).exp() * torch.randn_like(mean))
        kl = (mean.square() + logvar.exp() - logvar - 1).sum() / 2
        loss = F.binary_cross_entropy(decoded, batch, reduction="sum") + kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    shown, _ = samples("mnist")
    with torch.no_grad():
        by_module = vae.decode(vae.encode(shown)[0])
    with tempfile.TemporaryDirectory() as folder:
        export(vae.eval(), Path(folder, "vae.onnx"), image_shape=(1, 28, 28))
        by_file = load(Path(folder, "vae.onnx")).reconstruct(shown)
    return [
        Row("images", shown),
        Row("decoded by PyTorch", by_module),
        Row("decoded by the file", by_file),
    ]


class Plain(nn.Module):
    """The VAE of docs/export.md."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 40))
        self.decoder = nn.Linear(20, 784)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images -> mean and log-variance, [B, 20] each."""
        mean, logvar = self.encoder(x).chunk(2, 1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        """Latents [B, 20] -> images."""
        return self.decoder(z).sigmoid().view(-1, 1, 28, 28)


PICTURES: dict[str, Callable[[], list[Row]]] = {
    "start": start,
    "samples": partial(generated, lines=4),
    "extremes": extremes,
    "closest": closest,
    "own_images": own_images,
    "exported": exported,
    "overview": partial(
        mode_rows, (1.0, 3.0, 6.0), residual=True
    ),  # the default mode, as it is used
    "posterior": partial(mode_rows, (0.0, 1.0, 3.0, 6.0), mode="posterior"),
    "residual": residual,
    "interpolation": partial(
        mode_rows, (1.0, 3.0, 6.0), mode="interpolation", labels_getter="default"
    ),
    "extrapolation": partial(
        mode_rows, (1.0, 3.0, 6.0), mode="extrapolation", labels_getter="default"
    ),
    "glyphs": glyphs,
    "prior": partial(mode_rows, (0.25, 0.5, 1.0), mode="prior", labels_getter="default"),
    "denoise": denoise,
}


def main(*names: str) -> None:
    """Write the pictures of these names; all of them, if none is given."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        save_rows(PICTURES[name](), FOLDER / f"{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
