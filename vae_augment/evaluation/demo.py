"""The main job in small: train a VAE, export it, and see whether it helps a classifier with few labels."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..modelfile import BUNDLED
from ..runtime import VAEModel, load
from ..training import ImageData, load_data
from .arms import LABELLED, POOL, WITH_VAE, Arm, Budget, Draw
from .benefit import run_arm
from .classical import affine
from .classical_arms import distorted, plain
from .draws import draw_labelled
from .models import fit_and_export, fit_model, small_config
from .pictures import Row, preview_rows, save_rows
from .results import Run
from .tables import detail_table
from .vae_arms import perturbed, synthetic_half

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
    runs = _compare(train, test, _arms(model))
    save_rows(_picture(model, test), folder / "demo.png")
    say(f"wrote {folder / 'demo.png'}")
    say(f"\n{LABELS_PER_CLASS} labelled images a class, {UPDATES} updates of batch 50, last iterate")
    say(detail_table(runs))
    return runs


def _compare(train: ImageData, test: ImageData, arms: tuple[Arm, ...]) -> list[Run]:
    runs = []
    with tqdm(total=DRAWS * len(arms), unit="run", desc="training classifiers", disable=None) as bar:
        for seed in range(DRAWS):
            draw = Draw(draw_labelled(train, LABELS_PER_CLASS, seed), test, seed, Budget(UPDATES))
            for arm in arms:
                runs.append(run_arm(arm, draw, "demo", train.name))
                bar.update()
    return runs


def _arms(pool_model: VAEModel) -> tuple[Arm, ...]:
    def of_pool(draw: Draw) -> VAEModel:
        return pool_model

    return (
        Arm("none", plain),
        Arm("affine", lambda draw: distorted(draw, affine)),
        Arm("VAE only", lambda draw: perturbed(draw, of_pool), WITH_VAE, POOL),
        Arm("affine+VAE", lambda draw: perturbed(draw, of_pool, affine), WITH_VAE, POOL),
        Arm("synthetic half", lambda draw: synthetic_half(draw, _labelled_vae), WITH_VAE, LABELLED),
    )


def _labelled_vae(draw: Draw) -> VAEModel:
    return fit_model(draw.labelled, small_config(draw.labelled, LABELLED_UPDATES, beta=BETA))


def _picture(model: VAEModel, test: ImageData) -> list[Row]:
    bundled = [(name, load(name, provider="cpu")) for name in BUNDLED]
    return [
        *preview_rows(model, test.images),
        Row("samples by class, of the bundled models"),
        *(Row(name, model.sample(10, seed=seed)[0]) for name, model in bundled for seed in range(2)),
    ]
