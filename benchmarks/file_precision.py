"""What a file of fewer bits costs and gains: pixels, a classifier's labels, speed on one thread.

python -m benchmarks.file_precision CHECKPOINT --data digits
python -m benchmarks.file_precision CHECKPOINT --data mnist --root DIR --precision int8
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from vae_augment import VAEModel, load
from vae_augment.exporters import export
from vae_augment.model.pixels import psnr
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float

MOST_IMAGES = 10_000
TRAINING_IMAGES = 2_000  # of the fixed classifier
SPEED_BATCHES = (1, 32, 256)
TURNS = 15  # of each file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", default="digits", help="images like those of the training")
    parser.add_argument("--root", help="folder of torchvision's data sets")
    parser.add_argument("--precision", default="int8", help="fp16 or int8")
    options = parser.parse_args(arguments)
    print(compared(options.checkpoint, load_data(options.data, options.root), options.precision))


def compared(checkpoint: Path, data: ImageData, precision: str) -> str:
    """Export in float32 and in `precision`, and say how they differ on `data`."""
    with TemporaryDirectory() as folder:
        models = [exported(checkpoint, Path(folder), name, data) for name in ("fp32", precision)]
    images = to_float(data.images[:MOST_IMAGES])
    full, reduced = (model.run("whole", _inputs(model, images))[0] for model in models)
    classify = _classifier(images[:TRAINING_IMAGES], data.labels[:TRAINING_IMAGES])
    changed = int((classify(full) != classify(reduced)).sum())
    speed = ", ".join(
        f"{_speed(models, images[:batch]):.2f}x at batch {batch}" for batch in SPEED_BATCHES
    )
    return (
        f"{precision} against fp32, over {len(images):,} perturbed images\n"
        f"  PSNR                      {psnr(full, reduced):.1f} dB\n"
        f"  labels that change        {changed:,} of {len(images):,} (logistic regression)\n"
        f"  speed, one thread         {speed}"
    )


def exported(checkpoint: Path, folder: Path, precision: str, data: ImageData) -> VAEModel:
    """The model of a file with this precision; it keeps the bytes that it has read."""
    file = folder / f"{precision}.onnx"
    export(checkpoint, file, precision=precision, images=data)
    return load(file, provider="cpu", threads=1)


def _inputs(model: VAEModel, images: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(images), model.spec.latent_dim, generator=generator)
    inputs = {"image": images, "noise": noise, "strength": torch.ones(len(images))}
    return inputs | model.label_input(None, len(images))


def _classifier(images: Tensor, labels: Tensor) -> Callable[[Tensor], Any]:
    """Logistic regression on pixels, from images [N, C, H, W] to classes [N]."""
    from sklearn.linear_model import LogisticRegression

    known = labels >= 0
    if len(labels[known].unique()) < 2:
        return lambda batch: torch.zeros(len(batch))
    model = LogisticRegression(max_iter=50)
    with warnings.catch_warnings():
        # That it has not converged, and of scipy's changes in older scikit-learn.
        warnings.simplefilter("ignore")
        model.fit(images[known].flatten(1), labels[known])
    return lambda batch: model.predict(batch.flatten(1))


def _speed(models: list[VAEModel], images: Tensor) -> float:
    """How many times as fast the second model is as the first."""
    full = []
    reduced = []
    for _ in range(TURNS):  # so that a busy machine slows both alike
        full.append(_seconds(models[0], images))
        reduced.append(_seconds(models[1], images))
    return statistics.median(full) / statistics.median(reduced)


def _seconds(model: VAEModel, images: Tensor) -> float:
    inputs = _inputs(model, images)
    start = time.thread_time()  # not the clock, which on a busy machine counts the waiting too
    for _ in range(max(1, 64 // len(images))):
        model.run("whole", inputs)
    return time.thread_time() - start


if __name__ == "__main__":
    main()
