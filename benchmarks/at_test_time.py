"""What a VAE does for a classifier that is trained already, on images at test time.

    python -m benchmarks.at_test_time views DIR
    python -m benchmarks.at_test_time cleaning DIR

DIR holds MNIST/raw, FashionMNIST/raw and symbols/. `views`: the mean of what a classifier answers
on eight versions of each image, redrawn by `glyphs` or distorted as in its training; it learned
from 10 images per class. `cleaning`: a classifier of all training images answers on test images
that were damaged, as they are, after a median filter, and after `reconstruct` of the bundled model.
What results/at_test_time.jsonl has is not measured again. Settings were chosen on nothing: they are
the defaults, and strengths 1 and 3. Ten minutes of one core.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import torch
import typer
from scipy import ndimage
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from benchmarks.common import RESULTS, Row, add_line, lacking, read_lines, source
from vae_augment import VAEAugment, load
from vae_augment.evaluation.classifier import Distort, identity, predict, train_classifier
from vae_augment.evaluation.intervals import paired
from vae_augment.evaluation.report import markdown
from vae_augment.evaluation.splits import choose_labels
from vae_augment.training import load_data
from vae_augment.training.data.image_data import to_float
from vae_augment.transforms.distortions import affine

FILE = RESULTS / "at_test_time.jsonl"
UPDATES = 1500  # of each classifier
SEEDS = range(100, 102)
VIEWS = 8
LABELS = 10  # per class, of the classifier whose views are averaged
VIEWED = ("mnist", "symbols")
CLEANED = ("mnist", "fashion-mnist")
HEAD = ["images", "what", "%", "compared with", "%", "difference"]

app = typer.Typer(add_completion=False)


@app.command()
def views(root: Path, seeds: Annotated[int, typer.Option(help="How many.")] = len(SEEDS)) -> None:
    """Answers averaged over several versions of each test image."""
    glyphs = load("glyphs", provider="cpu", threads=1)
    ways: dict[str, Distort] = {
        "one view": identity,
        "affine views": affine,
        "glyphs views": VAEAugment(glyphs, p=1.0),
        "glyphs views, strength 3": VAEAugment(glyphs, p=1.0, strength=3.0),
    }
    for data in VIEWED:
        for seed in SEEDS[:seeds]:
            missing = lacking(FILE, rows_of("views", data, seed, ways))
            if not missing:
                continue
            train, test = source(data, root).load().for_seed(seed)
            few, _ = choose_labels(train, seed, LABELS)
            images = to_float(few.images)
            classes = len(train.classes)
            classifier = train_classifier(
                images, few.labels, classes, distort=affine, updates=UPDATES, seed=seed
            )
            for row in missing:
                answers = mean_answer(classifier, to_float(test.images), ways[row["method"]])
                add(row, answers, test.labels)


def mean_answer(classifier: nn.Module, images: Tensor, way: Distort) -> Tensor:
    """The mean probabilities [N, classes] over views; one view where they are all the same."""
    count = 1 if way is identity else VIEWS
    torch.manual_seed(0)
    found = [predict(classifier, way(images)).softmax(1) for _ in range(count)]
    return torch.stack(found).mean(0)


@app.command()
def cleaning(
    root: Path, seeds: Annotated[int, typer.Option(help="How many.")] = len(SEEDS)
) -> None:
    """Damaged test images, with and without a VAE before the classifier."""
    for data in CLEANED:
        model = load(data, provider="cpu", threads=1)
        ways: dict[str, Distort] = {
            "as they are": identity,
            "median filter": median,
            "VAE": model.reconstruct,
        }
        train = load_data(data, root)
        test = load_data(data, root, train=False)
        images = to_float(test.images)
        for seed in SEEDS[:seeds]:
            missing = {
                damage: lacking(FILE, rows_of(damage, data, seed, ways)) for damage in DAMAGES
            }
            if not any(missing.values()):
                continue
            classifier = train_classifier(
                to_float(train.images), train.labels, len(train.classes), updates=UPDATES, seed=seed
            )
            for damage, rows in missing.items():
                torch.manual_seed(seed)
                damaged = DAMAGES[damage](images)
                for row in rows:
                    add(row, predict(classifier, ways[row["method"]](damaged)), test.labels)


def median(images: Tensor) -> Tensor:
    """Each pixel as the median of 3x3."""
    return torch.from_numpy(ndimage.median_filter(images.numpy(), size=(1, 1, 3, 3)))


def noise(images: Tensor) -> Tensor:
    """Gaussian noise of standard deviation 0.5."""
    return (images + 0.5 * torch.randn_like(images)).clamp(0, 1)


def blur(images: Tensor) -> Tensor:
    """A Gaussian blur of 2 pixels."""
    return functional.gaussian_blur(images, [13, 13], [2.0, 2.0])


def stripes(images: Tensor) -> Tensor:
    """Every fourth row white."""
    striped = images.clone()
    striped[..., ::4, :] = 1
    return striped


def occlusion(images: Tensor) -> Tensor:
    """A black square of 12 pixels at a random place."""
    hidden = images.clone()
    places = torch.randint(images.shape[-1] - 12 + 1, (len(images), 2)).tolist()
    for image, (top, left) in zip(hidden, places, strict=True):
        image[:, top : top + 12, left : left + 12] = 0
    return hidden


DAMAGES: dict[str, Distort] = {
    "no damage": identity,
    "noise": noise,
    "blur": blur,
    "stripes": stripes,
    "occlusion": occlusion,
}


def rows_of(what: str, data: str, seed: int, ways: Iterable[str]) -> list[Row]:
    """What the rows of the results say of all ways, without their accuracy."""
    return [{"what": what, "data": data, "method": name, "seed": seed} for name in ways]


def add(row: Row, answers: Tensor, labels: Tensor) -> None:
    """Add a row with its accuracy in percent."""
    right = (answers.argmax(1) == labels).double().mean().item()
    found = row | {"accuracy": round(100 * right, 2)}
    add_line(FILE, found)
    print(*found.values(), flush=True)


@app.command("table")
def show() -> None:
    """Print the table of docs/experiments.md."""
    print(table(read_lines(FILE)))


def table(rows: list[Row]) -> str:
    """Each way beside the first one that was measured on the same images."""
    groups: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for row in rows:
        of_group = groups.setdefault((row["data"], row["what"]), {})
        of_group.setdefault(row["method"], {})[row["seed"]] = row["accuracy"]
    lines = []
    for (data, what), methods in groups.items():
        (base, before), *others = methods.items()
        for method, after in others:
            difference = paired(after, before)
            shared = sorted(after.keys() & before.keys())
            means = [sum(found[seed] for seed in shared) / len(shared) for found in (after, before)]
            cells = [method, f"{means[0]:.2f}", base, f"{means[1]:.2f}", str(difference)]
            lines.append([f"{data}, {what}", *cells])
    return markdown(HEAD, lines)


if __name__ == "__main__":
    app()
