"""The demo: what one line in a Compose and what one file are worth, measured on a few digits."""

import statistics
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ..exporters import ParityReport, export
from ..model.pixels import from_batch
from ..model.vae_model import VAEModel, load
from ..privacy.audit import audit
from ..privacy.report import Audit
from ..training import FitConfig, ImageData, fit, load_data
from ..training.data.image_data import to_float
from ..transforms.augment import VAEAugment
from ..transforms.distortions import affine
from .classifier import BATCH, Distort, accuracy, identity, train_classifier
from .pictures import Row, save_rows

CHOICES = 3  # of the digits to learn from
LEARN = 1_000  # of the 1,797 digits; the others are for testing
DRAWINGS = (1, 3)  # per class
BOX, BORDER = 20, 4  # MNIST's: a digit fills 20x20 pixels within 28x28
TRANSFORM_UPDATES = 500
SAMPLE_UPDATES = 300
# Of twice the updates samples taught a point more, but the audit found copies among them.
FIT_UPDATES = 750
FIT_BATCH = 100
NOTHING, REDRAWN, AFFINE, BOTH = "nothing", "VAEAugment", "affine", "VAEAugment, affine"
REAL, SAMPLED = "the images", "samples of the file only"
USE = """\
from torchvision.transforms import v2
from vae_augment import VAEAugment
augment = VAEAugment("glyphs", strength=3)
v2.Compose([augment, v2.RandomAffine(15, (0.07, 0.07), (0.85, 1.15), 10)])"""
_WIDTH = 26  # of a table's columns

Accuracies = dict[str, list[float]]  # percent, one for each choice of the digits, by row of a table
Say = Callable[[str], None]


class Choice(NamedTuple):
    """Digits to learn from, and others to test on."""

    number: int
    learn: ImageData
    test: ImageData

    def drawings(self, per_class: int) -> ImageData:
        """The first ones of each class among those to learn from, sorted by class."""
        classes = range(len(self.learn.classes))
        rows = [(self.learn.labels == label).nonzero()[:per_class, 0] for label in classes]
        return self.learn.subset(torch.cat(rows))


def run_demo(folder: Path, say: Say) -> None:
    """Measure both, report it through `say`, and write demo.onnx and demo.png to `folder`.

    It takes one to five minutes on two cores and downloads nothing.
    """
    digits = all_digits()
    choices = [choose(digits, number) for number in range(CHOICES)]
    say(f"{len(digits):,} handwritten digits from scikit-learn: {CHOICES} choices of {LEARN:,} to")
    say("learn from, the others to test on. Accuracy in percent: mean (lowest to highest).\n")
    columns = compare_transforms(choices)
    say("1. One line more in the Compose: VAEAugment redraws a digit as another hand would.")
    heads = ["one drawing per class", "three drawings per class"]
    say(f"\n{table(['trained with', *heads], columns)}\n")
    column, model, report = compare_samples(choices, folder / "demo.onnx")
    say("2. A file in place of images: a VAE learns the digits and is exported to one file.")
    say(f"\n{table(['a classifier saw', 'accuracy'], [column])}\n")
    found = audit(model, choices[-1].learn, choices[-1].test)
    say("\n".join(file_lines(folder / "demo.onnx", report, found)))
    save_rows(picture(choices[-1], model), folder / "demo.png")
    say(f"Pictures of both: {folder / 'demo.png'}\n")
    say(f"{gain_in_words(columns[0][AFFINE], columns[0][BOTH])}\n\n{USE}")


def all_digits() -> ImageData:
    """All 1,797 digits of scikit-learn."""
    parts = [load_data("digits", train=is_train) for is_train in (True, False)]
    images = torch.cat([part.images for part in parts])
    labels = torch.cat([part.labels for part in parts])
    return ImageData("digits", images, labels, parts[0].classes)


def choose(digits: ImageData, number: int) -> Choice:
    """Choice number `number` of `LEARN` digits to learn from."""
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(number))
    return Choice(number, digits.subset(order[:LEARN]), digits.subset(order[LEARN:]))


def enlarged(images: Tensor) -> Tensor:
    """Images [B, 1, 8, 8] uint8 as MNIST's: [B, 1, 28, 28] in [0, 1], with a black border."""
    large = F.interpolate(to_float(images), size=(BOX, BOX), mode="bicubic", align_corners=False)
    return F.pad(large.clamp(0, 1), [BORDER] * 4)


def compared_transforms(p: float = 0.5) -> dict[str, Distort]:
    """What training images pass through, by its name in the table. `p` is that of VAEAugment."""
    redraw = VAEAugment("glyphs", strength=3, p=p)  # there are few drawings per class

    def both(images: Tensor) -> Tensor:
        return affine(redraw(images))

    return {NOTHING: identity, REDRAWN: redraw, AFFINE: affine, BOTH: both}


def compare_transforms(choices: Sequence[Choice]) -> list[Accuracies]:
    """The accuracies of classifiers of one drawing per class, and of three."""
    transforms = compared_transforms()
    columns: list[Accuracies] = [{name: [] for name in transforms} for _ in DRAWINGS]
    runs = [
        (column[name], choice, per_class, distort)
        for choice in choices
        for per_class, column in zip(DRAWINGS, columns, strict=True)
        for name, distort in transforms.items()
    ]
    for found, choice, per_class, distort in tqdm(runs, "classifiers", disable=None):
        found.append(transform_accuracy(choice, per_class, distort))
    return columns


def transform_accuracy(choice: Choice, per_class: int, distort: Distort) -> float:
    """Of a classifier that learned from `per_class` drawings of each class, in percent."""
    seen = choice.drawings(per_class)
    model = train_classifier(
        enlarged(seen.images),
        seen.labels,
        len(seen.classes),
        distort=distort,
        updates=TRANSFORM_UPDATES,
        seed=choice.number,
        network=small_net,
    )
    return accuracy(model, enlarged(choice.test.images), choice.test.labels)


def small_net(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """A classifier of images [B, C, 28, 28] that one core trains in seconds."""
    return nn.Sequential(
        nn.Conv2d(image_shape[0], 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def compare_samples(
    choices: Sequence[Choice], path: Path
) -> tuple[Accuracies, VAEModel, ParityReport]:
    """The accuracies of classifiers of the images and of samples, and the last choice's VAE."""
    column: Accuracies = {REAL: [], SAMPLED: []}
    for choice in choices:
        model, report = fitted(choice, path)
        images = to_float(choice.learn.images)
        column[REAL].append(sample_accuracy(choice, images, choice.learn.labels))
        made, labels = model.sample(SAMPLE_UPDATES * BATCH, seed=choice.number)
        assert labels is not None  # the VAE is conditional
        column[SAMPLED].append(sample_accuracy(choice, made, labels))
    return column, model, report


def fitted(choice: Choice, path: Path) -> tuple[VAEModel, ParityReport]:
    """A VAE of the digits to learn from, exported to `path`, which is replaced."""
    config = FitConfig(
        network="conv-small",
        conditional=True,
        label_dropout=0.1,
        latent_dim=16,
        beta=0.15,
        distort=False,
        learning_rate=2e-3,
        epochs=max(1, FIT_UPDATES * FIT_BATCH // LEARN),
        batch_size=FIT_BATCH,
        seed=choice.number,
    )
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "digits.safetensors")
        fit(choice.learn, checkpoint, config)
        report = export(checkpoint, path, overwrite=True)
    return load(path, provider="cpu"), report


def sample_accuracy(choice: Choice, images: Tensor, labels: Tensor) -> float:
    """Of a classifier that saw these images [B, 1, 8, 8] in [0, 1] alone, in percent."""
    classes = len(choice.learn.classes)
    model = train_classifier(images, labels, classes, updates=SAMPLE_UPDATES, seed=choice.number)
    return accuracy(model, to_float(choice.test.images), choice.test.labels)


def file_lines(path: Path, report: ParityReport, found: Audit) -> list[str]:
    """What was found out about the file."""
    nothing = "Nothing was found, which does not prove that nothing is there."
    audited = (
        f"Audit: the strongest attack tells the digits it learned from others with an AUC of "
        f"{found.membership_auc:.2f} (0.5 is guessing). {' '.join(found.findings) or nothing}"
    )
    return [
        f"The file: {path}, {path.stat().st_size:,} bytes, in place of {LEARN:,} images.",
        f"Parity: it differs from PyTorch by {report.worst:.0e} at most.",
        textwrap.fill(audited, 90),
    ]


def spread(values: Sequence[float], sign: str = "") -> str:
    """The mean of some values and, in brackets, the lowest and the highest."""
    mean = statistics.mean(values)
    return f"{mean:{sign}.1f} ({min(values):{sign}.1f} to {max(values):{sign}.1f})"


def table(head: Sequence[str], columns: Sequence[Accuracies]) -> str:
    """A row for each key of the columns, with one spread per column, below the head."""
    rows = [head]
    rows += [[name, *(spread(column[name]) for column in columns)] for name in columns[0]]
    return "\n".join("  " + "".join(f"{cell:<{_WIDTH}}" for cell in row).rstrip() for row in rows)


def gain_in_words(before: Sequence[float], after: Sequence[float]) -> str:
    """How much the line brought, choice by choice; or that it brought nothing."""
    gains = [new - old for old, new in zip(before, after, strict=True)]
    above = sum(gain > 0 for gain in gains)
    is_gain = statistics.mean(gains) > 0
    return (
        f"{'Measured gain' if is_gain else 'No gain was measured'}, one drawing per class, "
        f"VAEAugment before affine against affine alone:\n{spread(gains, '+')} points, "
        f"above zero in {above} of {len(gains)} choices."
    )


def picture(choice: Choice, model: VAEModel) -> list[Row]:
    """Drawings and what the transforms make of them; digits and what the file makes."""
    drawings = enlarged(choice.drawings(1).images)
    rows = [Row("1. One line more in the Compose"), Row("drawings", drawings)]
    with torch.random.fork_rng():
        torch.manual_seed(choice.number)
        transforms = compared_transforms(p=1.0)
        for name in (REDRAWN, AFFINE, BOTH):
            rows += [Row(name, transforms[name](drawings)), Row("", transforms[name](drawings))]
    real = enlarged(choice.drawings(2).images)
    made = enlarged(from_batch(model.sample(20, seed=choice.number)[0], torch.uint8))
    rows += [Row("2. A file in place of images"), Row("digits", real[::2]), Row("", real[1::2])]
    return [*rows, Row("samples of the file", made[:10]), Row("", made[10:])]
