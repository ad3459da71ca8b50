"""The main job in small: train a VAE, export it, and see whether it helps a classifier with few labels."""

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from tqdm import tqdm

from ..dataset import VAESyntheticDataset
from ..exporters import ParityReport, export
from ..modelfile import BUNDLED
from ..runtime import VAEModel, load
from ..training import FitConfig, ImageData, fit, load_data
from ..training.data import to_float
from ..transform import VAEAugment
from .classical import affine
from .classifier import BATCH, View, accuracy, train_classifier, unchanged
from .pictures import Row, preview_rows, save_rows

LABELS_PER_CLASS = 10
DRAWS = 3
ARMS = (
    "no augmentation",
    "affine",
    "VAEAugment (VAE of the unlabelled pool)",
    "affine + VAEAugment",
    "VAESyntheticDataset (VAE of the labels alone)",
)
BETA = 0.2  # an 8x8 image has too few pixels to pay for a latent at the full weight of the KL term
UPDATES = 500
POOL_UPDATES, LABELLED_UPDATES = 1500, 400


@dataclass
class Comparison:
    """Test accuracies in percent, one list an arm with a figure for each draw of labels."""

    accuracies: dict[str, list[float]] = field(default_factory=dict)

    def add(self, arm: str, percent: float) -> None:
        """Note one figure."""
        self.accuracies.setdefault(arm, []).append(percent)

    def table(self) -> str:
        """Mean, spread and the mean difference from the first arm, draw by draw, one arm a line."""
        first = next(iter(self.accuracies.values()))
        lines = [f"{'test accuracy, %':<46}{'mean':>7}{'sd':>7}{'gain':>8}   draws"]
        for arm, values in self.accuracies.items():
            gain = statistics.fmean(value - base for value, base in zip(values, first, strict=True))
            draws = "  ".join(f"{value:.1f}" for value in values)
            lines.append(
                f"{arm:<46}{statistics.fmean(values):>7.2f}{statistics.stdev(values):>7.2f}{gain:>+8.2f}   {draws}"
            )
        return "\n".join(lines)


def run_demo(
    data: str,
    root: str | os.PathLike[str] | None,
    folder: Path,
    say: Callable[[str], None],
) -> Comparison:
    """Run the demo on `data`, write demo.onnx and demo.png to `folder` and report what happens through `say`."""
    train, test = load_data(data, root, train=True), load_data(data, root, train=False)
    say(f"{data}: {len(train)} training images without labels, {len(test)} test images, {train.image_shape}")
    say(f"training a VAE on the unlabelled images ({POOL_UPDATES} updates) and exporting it ...")
    pool = ImageData(train.name, train.images, torch.full_like(train.labels, -1))
    model, report = fit_and_export(pool, folder / "demo.onnx", POOL_UPDATES)
    say(report.table())
    say(f"wrote {folder / 'demo.onnx'}")
    comparison = Comparison()
    total = DRAWS * len(ARMS) * UPDATES
    with tqdm(total=total, unit="update", desc="training classifiers", disable=None) as bar:
        for draw in range(DRAWS):
            _compare(comparison, model, train, test, draw, bar.update)
    save_rows(_picture(model, test), folder / "demo.png")
    say(f"wrote {folder / 'demo.png'}")
    return comparison


def fit_and_export(
    data: ImageData, path: Path, updates: int, *, conditional: bool = False
) -> tuple[VAEModel, ParityReport]:
    """Train a small convolutional VAE for about `updates` updates and export it to `path`, replacing what is there."""
    batch = min(128, len(data))
    epochs = max(1, round(updates * batch / len(data)))
    config = FitConfig(
        width="small", conditional=conditional, epochs=epochs, batch_size=batch, learning_rate=2e-3, beta=BETA
    )
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "demo.safetensors")
        fit(data, checkpoint, config)
        report = export(checkpoint, path, overwrite=True)
    return load(path, provider="cpu"), report


def draw_labelled(data: ImageData, per_class: int, seed: int) -> ImageData:
    """`per_class` images of each class, drawn at random; the same ones for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)
    labels = data.labels[order]
    return data.subset(torch.cat([order[labels == label][:per_class] for label in range(len(data.classes))]))


def _compare(
    comparison: Comparison, pool_model: VAEModel, train: ImageData, test: ImageData, draw: int, tick: Callable[[], None]
) -> None:
    labelled = draw_labelled(train, LABELS_PER_CLASS, seed=draw)
    images, classes = to_float(labelled.images), len(train.classes)
    with TemporaryDirectory() as folder:
        path = Path(folder, "labelled.onnx")
        labelled_model, _ = fit_and_export(labelled, path, LABELLED_UPDATES, conditional=True)
        for arm, view in zip(ARMS, _views(pool_model, labelled_model, draw), strict=True):
            model = train_classifier(
                images, labelled.labels, classes, view=view, updates=UPDATES, seed=draw, on_update=tick
            )
            comparison.add(arm, accuracy(model, to_float(test.images), test.labels))


def _views(pool_model: VAEModel, labelled_model: VAEModel, draw: int) -> tuple[View, ...]:
    augment = VAEAugment(pool_model, p=0.5)
    synthetic = VAESyntheticDataset(labelled_model, length=UPDATES * BATCH // 2, seed=draw)
    return (
        unchanged,
        lambda images, labels: (affine(images), labels),
        lambda images, labels: (augment(images), labels),
        lambda images, labels: (augment(affine(images)), labels),
        half_synthetic(synthetic),
    )


def half_synthetic(synthetic: VAESyntheticDataset) -> View:
    """A view whose second half of each batch is generated, going through `synthetic` again and again."""
    position = 0

    def view(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal position
        real = len(images) - len(images) // 2
        index = [(position + step) % len(synthetic) for step in range(len(images) // 2)]
        position += len(index)
        made, classes = zip(*synthetic.__getitems__(index), strict=True)
        return torch.cat([images[:real], torch.stack(made)]), torch.cat([labels[:real], torch.tensor(classes)])

    return view


def _picture(model: VAEModel, test: ImageData) -> list[Row]:
    bundled = [(name, load(name, provider="cpu")) for name in BUNDLED]
    return [
        *preview_rows(model, test.images),
        Row("samples by class, of the bundled models"),
        *(Row(name, model.sample(10, seed=seed)[0]) for name, model in bundled for seed in range(2)),
    ]
