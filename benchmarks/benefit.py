"""What a VAE of the same images adds to the best method without one: figures of docs/benefit.md.

    python -m benchmarks.benefit DIR                        # what results/benefit.jsonl lacks
    python -m benchmarks.benefit DIR --setting "10 labels"    # of one setting

DIR holds MNIST/raw and FashionMNIST/raw. Each figure compares two methods, which train the same
small CNN for 5,000 updates of 50 images, with the same labels and the same seed. Choose new methods
on seeds from 100 on. Everything takes about ten hours of one core.
"""

import argparse
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torchvision.transforms import v2

from benchmarks.common import RESULTS, Row, add_line, lacking, source
from vae_augment import VAEModel
from vae_augment.evaluation import label_pool
from vae_augment.evaluation.classifier import Batch, Distort, identity
from vae_augment.evaluation.methods import STRONG, Method
from vae_augment.evaluation.pseudo_labels import train_teacher
from vae_augment.evaluation.repetition import Repetition
from vae_augment.evaluation.runs import run_method
from vae_augment.evaluation.splits import choose_labels, shuffled_classes
from vae_augment.evaluation.vaes import fit_model, labelled_vae, vae_config
from vae_augment.training import FitConfig, ImageData
from vae_augment.transforms.distortions import (
    affine,
    affine_elastic,
    flip_shift,
    one_by_one,
    thickness_affine_elastic,
)

FILE = RESULTS / "benefit.jsonl"
UPDATES = 5000  # of each classifier
POOL_UPDATES = 6000  # of what guesses the labels of a pool
LARGEST_CLASS = 1000  # of the long tail
SMALLEST_CLASS = 10
# For many images, in spreads of the posterior, as it was chosen
GENTLE = {"p": 0.2, "strength": 0.5, "unit": 1.0}

LABELS_PER_CLASS = {"10 labels": 10, "10 labels + pool": 10, "100 labels": 100}
DISTORTIONS: dict[str, Distort] = {
    "none": identity,
    "affine": affine,
    "affine+elastic": affine_elastic,
    "thickness+affine+elastic": thickness_affine_elastic,
    "flip+shift": flip_shift,
    "TrivialAugmentWide": partial(one_by_one, v2.TrivialAugmentWide()),
}


class Pair(NamedTuple):
    """A figure: what `method` adds to `base`, on seeds 0 to `seeds` - 1."""

    setting: str
    data: str
    base: str
    method: str
    seeds: int = 5
    in_chart: bool = True


PAIRS = (
    Pair("10 labels", "mnist", "affine+elastic", "affine+elastic+strong VAE"),
    Pair("10 labels", "fashion-mnist", "none", "strong VAE"),
    Pair("10 labels", "fashion-mnist", "flip+shift", "TrivialAugmentWide", 1, in_chart=False),
    Pair("100 labels", "mnist", "affine+elastic", "affine+elastic+strong VAE"),
    Pair("100 labels", "fashion-mnist", "flip+shift", "flip+shift+strong VAE"),
    Pair("long tail", "mnist", "affine+elastic", "affine+elastic+strong VAE"),
    Pair("long tail", "fashion-mnist", "flip+shift", "flip+shift+strong VAE"),
    Pair("10 labels + pool", "mnist", "affine+elastic", "pseudo-labels+samples", in_chart=False),
    Pair("10 labels + pool", "mnist", "affine+elastic", "pseudo-labels", in_chart=False),
    Pair("10 labels + pool", "mnist", "pseudo-labels", "pseudo-labels+samples"),
    Pair("10 labels + pool", "fashion-mnist", "none", "pseudo-labels+samples", in_chart=False),
    Pair("10 labels + pool", "fashion-mnist", "none", "pseudo-labels", in_chart=False),
    Pair("10 labels + pool", "fashion-mnist", "pseudo-labels", "pseudo-labels+samples"),
    Pair("all labels", "mnist", "affine", "gentle VAE"),
    Pair("all labels", "fashion-mnist", "none", "gentle VAE"),
)


def repetition(pair: Pair, root: Path, seed: int) -> Repetition:
    """The images of one repetition of the pair's setting."""
    train, test = source(pair.data, root).load().for_seed(seed)
    if pair.setting == "long tail":
        return Repetition(long_tail(train, seed), test, seed, updates=UPDATES)
    per_class = LABELS_PER_CLASS.get(pair.setting)
    labelled, pool = choose_labels(train, seed, per_class, pool="pool" in pair.setting)
    return Repetition(labelled, test, seed, pool, UPDATES)


def long_tail(data: ImageData, seed: int) -> ImageData:
    """Class sizes that fall geometrically from 1,000 to 10; the seed decides which are rare."""
    classes = shuffled_classes(data, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    ranks = torch.randperm(len(classes), generator=generator).tolist()
    step = (SMALLEST_CLASS / LARGEST_CLASS) ** (1 / (len(classes) - 1))
    sizes = [round(LARGEST_CLASS * step**rank) for rank in ranks]
    kept = [rows[:size] for rows, size in zip(classes, sizes, strict=True)]
    return data.subset(torch.cat(kept))


def balanced_batch(of: Repetition) -> Batch:
    """The labelled images, those of rare classes repeated until all classes are equal."""
    images, labels = of.labelled_batch()
    classes = [(labels == label).nonzero()[:, 0] for label in range(len(of.labelled.classes))]
    largest = max(len(rows) for rows in classes)
    repeated = [rows.repeat(math.ceil(largest / len(rows)))[:largest] for rows in classes]
    rows = torch.cat(repeated)
    return images[rows], labels[rows]


def generating_config(of: Repetition, data: ImageData) -> FitConfig:
    """A wide VAE for samples, with a smaller weight of the KL term, smallest for garments."""
    beta, latent_dim = (0.1, 64) if data.name == "fashion-mnist" else (0.5, 32)
    config = vae_config(of, data)
    return replace(config, network="conv", beta=beta, latent_dim=latent_dim, label_dropout=0.1)


def full_vae(of: Repetition) -> VAEModel:
    """A VAE of all labelled images."""
    config = generating_config(of, of.labelled)
    return fit_model(of.labelled, replace(config, epochs=2 * (config.epochs or 1)))


@functools.lru_cache(maxsize=1)  # two methods share it, and it takes minutes
def pseudo_labelled(of: Repetition) -> ImageData:
    """The labelled images, and those of the pool whose guess is kept."""
    by = "neighbours" if of.labelled.name == "fashion-mnist" else "agreement"
    guessed = label_pool(of.with_pool, by=by, updates=POOL_UPDATES, seed=of.seed)
    return guessed.subset((guessed.labels >= 0).nonzero()[:, 0])


def pseudo_labelled_batch(of: Repetition) -> Batch:
    """`pseudo_labelled` images."""
    return of.on_device(pseudo_labelled(of))


def with_samples(of: Repetition) -> Batch:
    """`pseudo_labelled` images, and as many that a VAE of them generates."""
    data = pseudo_labelled(of)
    model = fit_model(data, generating_config(of, data))
    images, labels = of.on_device(data)
    generated, classes = model.sample(len(data), seed=of.seed)
    assert classes is not None  # the VAE is conditional
    return torch.cat([images, generated]), torch.cat([labels, classes])


@dataclass(frozen=True)
class Teacher(Method):
    """A method whose classifier is the one that guesses the labels of the pool."""

    def train(self, repetition: Repetition) -> nn.Module:
        """The teacher."""
        images, _ = repetition.on_device(repetition.with_pool)
        _, labels = repetition.labelled_batch()
        classes = len(repetition.labelled.classes)
        return train_teacher(images, labels, classes, POOL_UPDATES, repetition.seed)


def method(name: str, pair: Pair) -> Method:
    """The method of this name in the pair's setting."""
    images = balanced_batch if pair.setting == "long tail" else Repetition.labelled_batch
    if name in DISTORTIONS:
        return Method(name, DISTORTIONS[name], images=images)
    if name == "pseudo-labels" and pair.data != "fashion-mnist":
        return Teacher(name)
    if name == "pseudo-labels":
        return Method(name, images=pseudo_labelled_batch)
    if name == "pseudo-labels+samples":
        return Method(name, images=with_samples, trained_on="pool")
    if name == "gentle VAE":
        return Method(name, make_vae=full_vae, settings=GENTLE, trained_on="labelled only")
    before, _, _ = name.rpartition("strong VAE")
    distort = DISTORTIONS[before.removesuffix("+") or "none"]
    return Method(name, distort, labelled_vae, STRONG, images=images, trained_on="labelled only")


def accuracy(of: Repetition, name: str, pair: Pair) -> float:
    """The method's accuracy in percent; in the long tail, the mean over the classes."""
    run = run_method(method(name, pair), of)
    if pair.setting != "long tail":
        return run.accuracy
    labels = of.test.labels.numpy()
    classes = range(len(of.test.classes))
    by_class = [run.correct[labels == label].mean() for label in classes]
    return round(100 * float(sum(by_class)) / len(by_class), 4)


def measure(pairs: Sequence[Pair], root: Path, results: Path) -> None:
    """Add a row to `results` for each run that it lacks."""
    for pair in pairs:
        for seed in range(pair.seeds):
            wanted = [row_of(pair, name, seed) for name in (pair.base, pair.method)]
            missing = lacking(results, wanted)
            if not missing:
                continue
            images = repetition(pair, root, seed)
            for row in missing:
                found = row | {"accuracy": accuracy(images, row["method"], pair)}
                add_line(results, found)
                print(*found.values(), flush=True)


def row_of(pair: Pair, name: str, seed: int) -> Row:
    """What a row of the results says of a run, without its accuracy."""
    return {"setting": pair.setting, "data": pair.data, "method": name, "seed": seed}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    settings = list(dict.fromkeys(pair.setting for pair in PAIRS))
    parser.add_argument("root", type=Path, help="folder of the data sets")
    parser.add_argument("--setting", choices=settings, help="measure only this one")
    parser.add_argument("--results", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    chosen = [pair for pair in PAIRS if options.setting in (None, pair.setting)]
    measure(chosen, options.root, options.results)


if __name__ == "__main__":
    main()
