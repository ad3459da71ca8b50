"""The whole job in small: train a VAE, export it, and see whether it helps with few labels."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..model.file import BUNDLED
from ..model.vae_model import VAEModel, load
from ..training import ImageData
from ..training.data import StrPath
from ..transforms.distortions import affine
from .classifier import BATCH, Batch
from .methods import NO_AUGMENTATION, Method
from .pictures import Row, preview_rows, save_rows
from .repetition import Repetition
from .report import advise, detail_table
from .runs import Run, run_method
from .splits import Source, choose_labels
from .vaes import fit_and_export, fit_model, small_config

LABELS_PER_CLASS = 10
REPETITIONS = 3
# 8x8 images have too few pixels for a KL term of weight 1: the VAE would ignore its latent
BETA = 0.2
UPDATES = 500  # of a classifier
POOL_UPDATES = 1500  # of the VAE of all images
LABELLED_UPDATES = 400  # of a VAE of the labelled images
SAMPLES = UPDATES * BATCH // 2  # half of the images that a classifier sees, each of them once
USAGE = 'VAEAugment("demo.onnx")'


def run_demo(
    data: str, root: StrPath | None, folder: Path, say: Callable[[str], None]
) -> list[Run]:
    """Run the demo on `data` and write demo.onnx and demo.png.

    Args:
        data: as for `load_data`.
        root: as for `load_data`.
        folder: for both files.
        say: called with a line on each step.
    """
    images = Source(data, None if root is None else os.fspath(root)).load()
    train, test = images.for_seed(0)
    say(
        f"{data}: {len(train)} training images without labels, {len(test)} test images, "
        f"{train.image_shape}"
    )
    say(f"training a VAE on the unlabelled images ({POOL_UPDATES} updates) and exporting it ...")
    unlabelled = ImageData(train.name, train.images, torch.full_like(train.labels, -1))
    config = small_config(unlabelled, POOL_UPDATES, conditional=False, beta=BETA)
    model, report = fit_and_export(unlabelled, folder / "demo.onnx", config)
    say(f"{report.table()}\nwrote {folder / 'demo.onnx'}")
    methods = _methods(model)
    runs = _run(methods, train, test)
    save_rows(_picture(model, test), folder / "demo.png")
    say(f"wrote {folder / 'demo.png'}\n")
    say(
        f"{LABELS_PER_CLASS} labelled images per class, {UPDATES} updates of {BATCH} images per "
        "classifier"
    )
    say(detail_table(runs))
    say("\n" + advise(runs, {method.name: method.usage for method in methods}))
    return runs


def _methods(model: VAEModel) -> tuple[Method, ...]:
    def demo_vae(repetition: Repetition) -> VAEModel:
        return model

    return (
        Method(NO_AUGMENTATION),
        Method("affine", affine),
        Method("VAE", make_vae=demo_vae, trained_on="pool", usage=USAGE),
        Method(
            "affine+VAE",
            affine,
            make_vae=demo_vae,
            trained_on="pool",
            usage=f"{USAGE} after distortion",
        ),
        Method(
            "synthetic half",
            images=half_synthetic,
            trained_on="labelled only",
            usage="VAESyntheticDataset",
        ),
    )


def half_synthetic(repetition: Repetition) -> Batch:
    """The labelled images, repeated, and as many that a VAE of them generates."""
    labelled = repetition.labelled
    vae = fit_model(labelled, small_config(labelled, LABELLED_UPDATES, beta=BETA))
    generated, classes = vae.sample(SAMPLES, seed=repetition.seed)
    assert classes is not None  # the VAE is conditional
    rows = torch.arange(SAMPLES) % len(labelled)
    images, labels = repetition.labelled_batch()
    return torch.cat([images[rows], generated]), torch.cat([labels[rows], classes])


def _run(methods: tuple[Method, ...], train: ImageData, test: ImageData) -> list[Run]:
    repetitions = []
    for seed in range(REPETITIONS):
        labelled = choose_labels(train, seed, LABELS_PER_CLASS).labelled
        repetitions.append(Repetition(labelled, test, seed, updates=UPDATES))
    pairs = [(method, repetition) for repetition in repetitions for method in methods]
    bar = tqdm(pairs, "training classifiers", unit="run", disable=None)
    return [run_method(method, repetition) for method, repetition in bar]


def _picture(model: VAEModel, test: ImageData) -> list[Row]:
    """What the model does with test images, and samples of the bundled models."""
    rows = [*preview_rows(model, test.images), Row("samples by class, of the bundled models")]
    models = [load(name, provider="cpu") for name in BUNDLED]
    for bundled in (each for each in models if not each.spec.image_conditional):
        rows += [Row(bundled.name, bundled.sample(10, seed=seed)[0]) for seed in range(2)]
    return rows
