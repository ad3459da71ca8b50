"""The main job in small: train a VAE, export it, and see whether it helps a classifier with few labels."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from ..dataset import VAESyntheticDataset
from ..modelfile import BUNDLED
from ..runtime import VAEModel, load
from ..training import ImageData
from .classifier import BATCH, Batch, View
from .distortions import affine
from .experiment import LABELLED, POOL, WITH_VAE, Draw, Method, Run, TrainingSet, run_method
from .methods import distorted, fit_and_export, fit_model, perturbed, plain, small_config
from .pictures import Row, preview_rows, save_rows
from .report import detail_table
from .splits import Source, few_labels

LABELS_PER_CLASS = 10
DRAWS = 3
BETA = 0.2  # 8x8 images have too few pixels for a KL term of weight 1: the VAE would ignore its latent
UPDATES = 500
POOL_UPDATES, LABELLED_UPDATES = 1500, 400


def run_demo(data: str, root: str | os.PathLike[str] | None, folder: Path, say: Callable[[str], None]) -> list[Run]:
    """Run the demo on `data`, write demo.onnx and demo.png to `folder`, and report each step through `say`."""
    train, test = Source(data, None if root is None else os.fspath(root)).load(0)
    say(f"{data}: {len(train)} training images without labels, {len(test)} test images, {train.image_shape}")
    say(f"training a VAE on the unlabelled images ({POOL_UPDATES} updates) and exporting it ...")
    pool = ImageData(train.name, train.images, torch.full_like(train.labels, -1))
    config = small_config(pool, POOL_UPDATES, conditional=False, beta=BETA)
    model, report = fit_and_export(pool, folder / "demo.onnx", config)
    say(report.table())
    say(f"wrote {folder / 'demo.onnx'}")
    labelled = [few_labels(train, seed, LABELS_PER_CLASS).labelled for seed in range(DRAWS)]
    draws = [Draw(images, test, seed, updates=UPDATES) for seed, images in enumerate(labelled)]
    pairs = [(method, draw) for draw in draws for method in _methods(model)]
    bar = tqdm(pairs, "training classifiers", unit="run", disable=None)
    runs = [run_method(method, draw, "demo", train.name) for method, draw in bar]
    save_rows(_picture(model, test), folder / "demo.png")
    say(f"wrote {folder / 'demo.png'}")
    say(f"\n{LABELS_PER_CLASS} labelled images per class, {UPDATES} updates of {BATCH} images per classifier")
    say(detail_table(runs))
    return runs


def _methods(pool_model: VAEModel) -> tuple[Method, ...]:
    def vae(draw: Draw) -> VAEModel:
        return pool_model

    return (
        Method("none", plain),
        Method("affine", partial(distorted, distort=affine)),
        Method("VAE", partial(perturbed, vae=vae), WITH_VAE, POOL),
        Method("affine+VAE", partial(perturbed, vae=vae, distort=affine), WITH_VAE, POOL),
        Method("synthetic half", _synthetic_half, WITH_VAE, LABELLED),
    )


def half_synthetic(synthetic: VAESyntheticDataset) -> View:
    """A view that replaces the second half of each batch by generated images, going through `synthetic` repeatedly."""
    position = 0

    def view(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        nonlocal position
        count = len(images) // 2
        kept = len(images) - count
        index = [(position + step) % len(synthetic) for step in range(count)]
        position += count
        made, classes = zip(*synthetic.__getitems__(index), strict=True)
        new, targets = torch.stack(made).to(images), torch.tensor(classes).to(labels)
        return torch.cat([images[:kept], new]), torch.cat([labels[:kept], targets])

    return view


def _synthetic_half(draw: Draw) -> TrainingSet:
    vae = fit_model(draw.labelled, small_config(draw.labelled, LABELLED_UPDATES, beta=BETA))
    synthetic = VAESyntheticDataset(vae, length=max(1, draw.updates * BATCH // 2), seed=draw.seed)
    return TrainingSet(*draw.real, view=half_synthetic(synthetic))


def _picture(model: VAEModel, test: ImageData) -> list[Row]:
    rows = [*preview_rows(model, test.images), Row("samples by class, of the bundled models")]
    for name in BUNDLED:
        bundled = load(name, provider="cpu")
        rows += [Row(name, bundled.sample(10, seed=seed)[0]) for seed in range(2)]
    return rows
