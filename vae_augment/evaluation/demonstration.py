"""The main job in small: train a VAE, export it, and see whether it helps a classifier with few labels."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..dataset import VAESyntheticDataset
from ..modelfile import BUNDLED
from ..runtime import VAEModel, load
from ..training import ImageData, load_data
from .classifier import BATCH, Batch, View
from .distortions import affine
from .experiment import LABELLED, POOL, WITH_VAE, Budget, Draw, Method, Run, TrainingSet, run_method
from .methods import distorted, fit_and_export, fit_model, perturbed, plain, small_config
from .pictures import Row, preview_rows, save_rows
from .report import detail_table
from .splits import draw_labelled

LABELS_PER_CLASS = 10
DRAWS = 3
BETA = 0.2  # an 8x8 image has too few pixels to pay for a latent at the full weight of the KL term
UPDATES = 500
POOL_UPDATES, LABELLED_UPDATES = 1500, 400


def run_demo(
    data: str,
    root: str | os.PathLike[str] | None,
    folder: Path,
    say: Callable[[str], None],
) -> list[Run]:
    """Run the demo on `data`, write demo.onnx and demo.png to `folder` and report what happens through `say`."""
    train, test = load_data(data, root, train=True), load_data(data, root, train=False)
    say(f"{data}: {len(train)} training images without labels, {len(test)} test images, {train.image_shape}")
    say(f"training a VAE on the unlabelled images ({POOL_UPDATES} updates) and exporting it ...")
    pool = ImageData(train.name, train.images, torch.full_like(train.labels, -1))
    config = small_config(pool, POOL_UPDATES, conditional=False, beta=BETA)
    model, report = fit_and_export(pool, folder / "demo.onnx", config)
    say(report.table())
    say(f"wrote {folder / 'demo.onnx'}")
    runs = _compare(train, test, _methods(model))
    save_rows(_picture(model, test), folder / "demo.png")
    say(f"wrote {folder / 'demo.png'}")
    say(f"\n{LABELS_PER_CLASS} labelled images per class, {UPDATES} updates of batch 50, last iterate")
    say(detail_table(runs))
    return runs


def _compare(train: ImageData, test: ImageData, methods: tuple[Method, ...]) -> list[Run]:
    runs = []
    with tqdm(total=DRAWS * len(methods), unit="run", desc="training classifiers", disable=None) as bar:
        for seed in range(DRAWS):
            draw = Draw(draw_labelled(train, LABELS_PER_CLASS, seed), test, seed, Budget(UPDATES))
            for method in methods:
                runs.append(run_method(method, draw, "demo", train.name))
                bar.update()
    return runs


def _methods(pool_model: VAEModel) -> tuple[Method, ...]:
    def of_pool(draw: Draw) -> VAEModel:
        return pool_model

    return (
        Method("none", plain),
        Method("affine", lambda draw: distorted(draw, affine)),
        Method("VAE", lambda draw: perturbed(draw, of_pool), WITH_VAE, POOL),
        Method("affine+VAE", lambda draw: perturbed(draw, of_pool, affine), WITH_VAE, POOL),
        Method("synthetic half", _synthetic_half, WITH_VAE, LABELLED),
    )


def half_synthetic(synthetic: VAESyntheticDataset) -> View:
    """A view whose second half of each batch is generated, going through `synthetic` again and again."""
    position = 0

    def view(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        nonlocal position
        kept = len(images) - len(images) // 2
        index = [(position + step) % len(synthetic) for step in range(len(images) // 2)]
        position += len(index)
        made, classes = zip(*synthetic.__getitems__(index), strict=True)
        new, targets = torch.stack(made).to(images), torch.tensor(classes).to(labels)
        return torch.cat([images[:kept], new]), torch.cat([labels[:kept], targets])

    return view


def _synthetic_half(draw: Draw) -> TrainingSet:
    length = max(1, draw.budget.updates * BATCH // 2)
    synthetic = VAESyntheticDataset(draw.once(_labelled_vae), length, seed=draw.seed)
    return TrainingSet(*draw.real, view=half_synthetic(synthetic))


def _labelled_vae(draw: Draw) -> VAEModel:
    return fit_model(draw.labelled, small_config(draw.labelled, LABELLED_UPDATES, beta=BETA))


def _picture(model: VAEModel, test: ImageData) -> list[Row]:
    bundled = [(name, load(name, provider="cpu")) for name in BUNDLED]
    return [
        *preview_rows(model, test.images),
        Row("samples by class, of the bundled models"),
        *(Row(name, model.sample(10, seed=seed)[0]) for name, model in bundled for seed in range(2)),
    ]
