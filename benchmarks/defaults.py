"""Which settings of `VAEAugment` do the least harm: what its defaults were chosen by.

    python benchmarks/defaults.py --root DIR [--symbols DIR] [--draws 100:101]

On MNIST, Fashion-MNIST and, where it is given, a folder with symbols-train.npz and
symbols-test.npz: a VAE of the labelled images alone, 10 and 100 labels per class, a classifier of
half the usual width for 1,500 updates, after the best distortion of such images. Draws from 100 on,
which no table reports. Resumes from the result file.
"""

import argparse
import json
import time
from pathlib import Path
from unittest import mock

import torch
from common import RESULTS, machine
from torch import nn

from vae_augment import VAEAugment
from vae_augment.evaluation import classifier
from vae_augment.evaluation.experiment import Draw
from vae_augment.evaluation.splits import Source, choose_labels
from vae_augment.evaluation.vaes import labelled_vae
from vae_augment.transforms.distortions import flip_shift, thickness_affine_elastic

SETTINGS = {
    "distortion alone": None,
    "residual=False, strength=1": {"residual": False, "strength": 1.0},
    "residual=True, strength=1": {"residual": True, "strength": 1.0},
    "residual=True, strength=3": {"residual": True, "strength": 3.0},
}
UPDATES, PER_CLASS = 1500, (10, 100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder that holds torchvision's data sets")
    parser.add_argument(
        "--symbols", type=Path, help="folder that holds symbols-train.npz and symbols-test.npz"
    )
    parser.add_argument("--draws", default="100:101", help="FIRST:END, END not included")
    parser.add_argument("--output", type=Path, default=RESULTS / "defaults.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = json.loads(options.output.read_text())["runs"] if options.output.exists() else []
    done = {key(run) for run in runs}
    for number in range(*map(int, options.draws.split(":"))):
        for per_class in PER_CLASS:
            for name, source in sources(options).items():
                train, test = source.load(number)
                draw = Draw(choose_labels(train, number, per_class).labelled, test, number)
                for setting in SETTINGS:
                    run = {
                        "data": name,
                        "labels_per_class": per_class,
                        "setting": setting,
                        "draw": number,
                    }
                    if key(run) not in done:
                        runs.append(run | measured(draw, setting, name))
                        facts = machine() | {"updates": UPDATES, "runs": runs}
                        options.output.write_text(json.dumps(facts, indent=1) + "\n")
                        print(*runs[-1].values(), flush=True)


def key(run: dict) -> tuple:
    return run["data"], run["labels_per_class"], run["setting"], run["draw"]


def sources(options: argparse.Namespace) -> dict[str, Source]:
    found = {name: Source(name, options.root) for name in ("mnist", "fashion-mnist")}
    if options.symbols:
        train, test = (str(options.symbols / f"symbols-{part}.npz") for part in ("train", "test"))
        found["symbols"] = Source(train, None, (test,))
    return found


def measured(draw: Draw, setting: str, data: str) -> dict[str, float]:
    start = time.monotonic()
    distort = flip_shift if data == "fashion-mnist" else thickness_affine_elastic
    arguments = SETTINGS[setting]
    augment = None if arguments is None else VAEAugment(draw.once(labelled_vae), p=0.5, **arguments)
    view = distort if augment is None else lambda images: augment(distort(images))
    with mock.patch.object(classifier, "small_cnn", half_cnn):
        model = classifier.train_classifier(
            *draw.real, len(draw.labelled.classes), distort=view, updates=UPDATES, seed=draw.seed
        )
    accuracy = classifier.accuracy(model, *draw.on_device(draw.test))
    return {"accuracy": round(accuracy, 4), "seconds": round(time.monotonic() - start, 1)}


def half_cnn(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """`small_cnn` with half the channels and less dropout.

    About a quarter of the multiplications.
    """
    channels, height, width = image_shape
    return nn.Sequential(
        *(nn.Conv2d(channels, 16, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
        *(
            nn.Conv2d(16, 32, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
        ),
        *(
            nn.Linear(32 * (height // 4) * (width // 4), 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, classes),
        ),
    )


if __name__ == "__main__":
    main()
