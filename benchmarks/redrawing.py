"""What redrawing adds to the distortions that people write: `glyphs`, and redrawers of one's own.

    python -m benchmarks.redrawing glyphs DIR
    python -m benchmarks.redrawing own DIR

DIR holds `MNIST/raw`, `FashionMNIST/raw`, `symbols/`, `handwriting/` and `omniglot/`. Each figure
compares two classifiers that learn from the same labelled images, for the same number of updates
and with the same seed: one sees them distorted, the other one redrawn and then distorted. What
results/redrawing.jsonl has is not measured again; benchmarks.figures prints the table. Choose new
settings on seeds 0 to 4; the table is of seeds from 100 on.

`glyphs`: on MNIST, the symbols, and ten alphabets of Omniglot, in turn, none of which it was
trained on. `own`: a model that `fit --redraw` makes of half of the classes redraws images of the
other half ("half the classes"), or it is made of the same images that the classifier learns from
("all classes").
"""

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from torch import Tensor

from benchmarks.benefit import DISTORTIONS
from benchmarks.common import RESULTS, Row, add_line, lacking, source
from benchmarks.glyph_images import EVALUATION, read, render
from vae_augment import VAEAugment, VAEModel, load
from vae_augment.evaluation.classifier import Distort, accuracy, train_classifier
from vae_augment.evaluation.splits import choose_labels
from vae_augment.evaluation.vaes import fit_model
from vae_augment.training import FitConfig, ImageData, load_data
from vae_augment.training.data.image_data import to_float

FILE = RESULTS / "redrawing.jsonl"
UPDATES = 1500  # of each classifier
FIRST_SEED = 100
AFFINE = "affine"
THICK = "thickness+affine+elastic"
TRIVIAL = "TrivialAugmentWide"
REDRAWN = "redrawn+"  # before the name of a distortion
# How many characters the 20 evaluation alphabets of Omniglot have, in the order of the file
ALPHABETS = (20, 26, 26, 26, 26, 26, 45, 45, 41, 26, 47, 40, 30, 45, 46, 28, 23, 25, 42, 26)
DRAWINGS = 10  # of each character to learn from; the other ten are for testing
PENS = (1.5, 2.7)  # how thick they are drawn, in pixels


class Setting(NamedTuple):
    """What a classifier learns from, and how it is distorted."""

    labels: int  # per class
    data: str
    distortion: str
    seeds: int


SETTINGS = (
    Setting(1, "mnist", THICK, 10),
    Setting(1, "symbols", THICK, 10),
    Setting(10, "mnist", AFFINE, 10),
    Setting(10, "symbols", AFFINE, 10),
    Setting(10, "omniglot", AFFINE, 20),
    Setting(10, "mnist", THICK, 2),
)
OWN = (("symbols", THICK), ("devanagari", THICK), ("fashion-mnist", TRIVIAL))
OWN_SEEDS = 2
HALF, ALL = "own, half the classes", "own, all classes"

Images = tuple[ImageData, ImageData]  # to learn from, and for testing
Root = Annotated[Path, typer.Argument(metavar="DIR")]
Seeds = Annotated[int | None, typer.Option(help="Fewer than all.")]
app = typer.Typer(add_completion=False)


class Measured(NamedTuple):
    """A setting that the results have, and the accuracies of its two methods by seed."""

    model: str
    setting: Setting
    distorted: dict[int, float]
    redrawn: dict[int, float]


def measured(rows: list[Row]) -> list[Measured]:
    """The settings of the results, those of `glyphs` first."""
    own = [
        (model, Setting(labels, data, distortion, OWN_SEEDS))
        for model, labels in ((HALF, 10), (ALL, 100))
        for data, distortion in OWN
    ]
    found = []
    for model, setting in [*(("glyphs", setting) for setting in SETTINGS), *own]:
        same = {"model": model, "labels": setting.labels, "data": setting.data}
        by_method: dict[str, dict[int, float]] = {}
        for row in rows:
            if same.items() <= row.items():
                by_method.setdefault(row["method"], {})[row["seed"]] = row["accuracy"]
        distorted = by_method.get(setting.distortion, {})
        redrawn = by_method.get(REDRAWN + setting.distortion, {})
        if distorted and redrawn:
            found.append(Measured(model, setting, distorted, redrawn))
    return found


@app.command()
def glyphs(root: Root, seeds: Seeds = None) -> None:
    """Measure what `glyphs` adds."""
    model = load("glyphs", provider="cpu", threads=1)
    for setting in SETTINGS:
        for seed in range(FIRST_SEED, FIRST_SEED + (seeds or setting.seeds)):
            images = partial(labelled, setting, root, seed)
            measure("glyphs", setting, seed, images, partial(given, model))


@app.command()
def own(root: Root, seeds: Seeds = None) -> None:
    """Measure what redrawers of one's own images add."""
    for data, distortion in OWN:
        few = Setting(10, data, distortion, seeds or OWN_SEEDS)
        many = few._replace(labels=100)
        for seed in range(FIRST_SEED, FIRST_SEED + few.seeds):
            images = partial(of_other_half, few, root, seed)
            measure(HALF, few, seed, images, partial(redrawer_of_half, data, root))
        for seed in range(FIRST_SEED, FIRST_SEED + many.seeds):
            measure(ALL, many, seed, partial(labelled, many, root, seed), redrawer)


def measure(
    model: str,
    setting: Setting,
    seed: int,
    images: Callable[[], Images],
    make_model: Callable[[ImageData], VAEModel],
) -> None:
    """Add the rows of both methods where the results lack them."""
    same: Row = {"model": model, "labels": setting.labels, "data": setting.data, "seed": seed}
    methods = setting.distortion, REDRAWN + setting.distortion
    missing = lacking(FILE, [same | {"method": method} for method in methods])
    if not missing:
        return
    train, test = images()
    for row in missing:
        distort = DISTORTIONS[setting.distortion]
        if row["method"].startswith(REDRAWN):
            distort = redrawn_first(make_model(train), distort)
        classifier = train_classifier(
            to_float(train.images),
            train.labels,
            len(train.classes),
            distort=distort,
            updates=UPDATES,
            seed=seed,
        )
        found = accuracy(classifier, to_float(test.images), test.labels)
        add_line(FILE, row | {"accuracy": round(found, 2)})
        print(*row.values(), round(found, 2), flush=True)


def redrawn_first(model: VAEModel, distort: Distort) -> Distort:
    """`distort` after the redrawing that the docs recommend for few labels.

    It goes as far as two images of a class differ: a spread of the prior, which is a strength of
    3 in the unit of `glyphs`. Chosen on seeds 0 to 2, with 10 labels.
    """
    redraw = VAEAugment(model, strength=1.0, unit=1.0, p=0.5)
    return lambda images: distort(redraw(images))


def given(model: VAEModel, train: ImageData) -> VAEModel:
    """The same model whatever the images are."""
    return model


def labelled(setting: Setting, root: Path, seed: int) -> Images:
    """So many images of each class, and all test images."""
    if setting.data == "omniglot":
        return alphabet(root, setting.labels, seed)
    train, test = data_set(setting.data, root)
    return choose_labels(train, seed, setting.labels).labelled, test


@functools.lru_cache(maxsize=1)
def data_set(data: str, root: Path) -> Images:
    """The training and test images of a data set."""
    if data == "devanagari":
        folder = root / "handwriting"
        test = load_data(folder / "dhcd-test.npz", train=False)
        return load_data(folder / "dhcd-train.npz"), test
    return source(data, root).load().for_seed(0)


def alphabet(root: Path, labels: int, seed: int) -> Images:
    """An alphabet that `glyphs` has not seen, drawn with pens of one range."""
    number = 2 * (seed - FIRST_SEED) % len(ALPHABETS)
    first = sum(ALPHABETS[:number])
    drawings = read(root / "omniglot" / EVALUATION)[first : first + ALPHABETS[number]]
    characters, count = drawings.shape[:2]
    generator = torch.Generator().manual_seed(seed)
    thinnest, thickest = PENS
    thickness = thinnest + (thickest - thinnest) * torch.rand(
        characters * count, generator=generator
    )
    flat = render(drawings.reshape(-1, *drawings.shape[2:]), thickness)
    images = flat.unflatten(0, (characters, count))[:, torch.randperm(count, generator=generator)]
    return of_classes(images[:, :labels]), of_classes(images[:, DRAWINGS:])


def of_classes(images: Tensor) -> ImageData:
    """Images [classes, N, H, W] with their labels."""
    classes, count = images.shape[:2]
    names = tuple(str(number) for number in range(classes))
    labels = torch.arange(classes).repeat_interleave(count)
    return ImageData("omniglot", images.flatten(0, 1)[:, None], labels, names)


def of_other_half(setting: Setting, root: Path, seed: int) -> Images:
    """`labelled`, of the classes that the redrawer has not seen."""
    train, test = (half(data, second=True) for data in data_set(setting.data, root))
    return choose_labels(train, seed, setting.labels).labelled, test


@functools.lru_cache(maxsize=1)
def _redrawer_of_half(data: str, root: Path) -> VAEModel:
    train, _ = data_set(data, root)
    return redrawer(half(train, second=False))


def redrawer_of_half(data: str, root: Path, train: ImageData) -> VAEModel:
    """What `fit --redraw` makes of the other classes than those of `train`."""
    return _redrawer_of_half(data, root)


def half(data: ImageData, *, second: bool) -> ImageData:
    """The images of every other class."""
    return data.subset((data.labels % 2 == second).nonzero()[:, 0]).without_empty_classes()


def redrawer(train: ImageData) -> VAEModel:
    """What `fit --redraw` makes of the images with its defaults."""
    return fit_model(train, FitConfig(network="redrawing"))


if __name__ == "__main__":
    app()
