"""What augmentation costs in the pipeline that a user writes, as ratios in one run.

    python benchmarks/pipelines.py --root DIR [--images 12000] [--repeats 5]

Prints a table and writes results/pipelines.json. DIR holds torchvision's MNIST.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import torch
from common import check_result, machine, rates, save
from loaders import by_two_workers, exhaust, mnist_items, train
from torch import Tensor
from torchvision.transforms import v2

from vae_augment import AugmentedDataset, VAEAugment, VAESyntheticDataset, load
from vae_augment.model.sessions import open_session, resolve_providers

BATCH = 256
LEAST = 0.4  # seconds of one timing of single calls
# (what, numerator, denominator, must, aim) of the ratios of images per second
BARS = (
    ("epoch", "AugmentedDataset(glyphs)", "RandomAffine", 1.2, 1.5),
    ("epoch", "AugmentedDataset(mnist)", "RandomAffine", 1.2, 1.5),
    ("epoch", "glyphs in the Compose", "RandomAffine", 0.9, 1.0),
    ("epoch", "mnist in the Compose", "RandomAffine", 0.9, 1.0),
    ("epoch", "AugmentedDataset(glyphs)", "TrivialAugmentWide", 1.0, 1.5),
    ("epoch", "AugmentedDataset(glyphs)", "ElasticTransform", 2.0, 4.0),
    ("one uint8 image", "glyphs", "RandomAffine", 0.8, 1.0),
    ("one uint8 image", "glyphs", "ElasticTransform", 4.0, 6.0),
    ("one uint8 image", "mnist", "RandomAffine", 0.8, 1.0),
    ("batch of 256", "glyphs", "RandomAffine, image by image", 2.5, 5.0),
    ("batch of 256", "mnist", "RandomAffine, image by image", 2.5, 5.0),
    ("batch of 256", "glyphs", "bare session.run of glyphs", 0.85, 0.9),
    ("loader, 2 workers", "VAESyntheticDataset(mnist)", "datasets.MNIST", 1.0, 2.0),
)
Rates = dict[str, dict[str, dict[str, float]]]


def affine() -> v2.Transform:
    return v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1))


def vae(name: str) -> VAEAugment:
    return VAEAugment(load(name, provider="cpu"), p=1.0)


def epochs(root: str, count: int, repeats: int) -> dict[str, dict[str, float]]:
    """An epoch of a small CNN on MNIST; each kind of augmentation stands where a user writes it."""
    among = functools.partial(mnist_items, root, count)
    plain = among(v2.Identity())
    data: dict[str, Any] = {
        "RandomAffine": among(affine()),
        "TrivialAugmentWide": among(v2.TrivialAugmentWide()),
        "ElasticTransform": among(v2.ElasticTransform()),
    }
    for name in ("glyphs", "mnist"):
        data[f"AugmentedDataset({name})"] = AugmentedDataset(plain, vae(name))
        data[f"{name} in the Compose"] = among(vae(name))
    loaders = {name: by_two_workers(found) for name, found in data.items()}
    return rates(
        {name: lambda found=found: train(found) for name, found in loaders.items()},
        count,
        repeats,
        0,
    )


def single(repeats: int) -> dict[str, dict[str, float]]:
    image = torch.randint(256, (1, 28, 28), dtype=torch.uint8)
    transforms = {"RandomAffine": affine(), "ElasticTransform": v2.ElasticTransform()}
    transforms |= {name: vae(name) for name in ("glyphs", "mnist")}
    return rates({name: lambda t=t: t(image) for name, t in transforms.items()}, 1, repeats, LEAST)


def batches(repeats: int) -> dict[str, dict[str, float]]:
    batch, move = torch.rand(BATCH, 1, 28, 28), affine()
    transforms = {name: vae(name) for name in ("glyphs", "mnist")}
    runs: dict[str, Callable[[], Any]] = {
        name: lambda t=t: t(batch) for name, t in transforms.items()
    }
    runs["RandomAffine, image by image"] = lambda: [move(image) for image in batch]
    runs["bare session.run of glyphs"] = bare(batch)
    return rates(runs, BATCH, repeats, LEAST)


def bare(batch: Tensor) -> Callable[[], Any]:
    model = load("glyphs", provider="cpu")
    session = open_session(model.file.part("whole"), resolve_providers("cpu"), None, strict=False)
    noise, strength = torch.randn(BATCH, model.spec.latent_dim).numpy(), torch.ones(BATCH).numpy()
    feeds = {"image": batch.numpy(), "noise": noise, "strength": strength}
    return lambda: session.run(None, feeds)


def through_loaders(root: str, count: int, repeats: int) -> dict[str, dict[str, float]]:
    found = {
        "VAESyntheticDataset(mnist)": by_two_workers(
            VAESyntheticDataset(load("mnist", provider="cpu"), count)
        ),
        "datasets.MNIST": by_two_workers(mnist_items(root, count, v2.Identity())),
    }
    return rates(
        {name: lambda data=data: exhaust(data) for name, data in found.items()}, count, repeats, 0
    )


def table(found: Rates) -> list[str]:
    lines = ["| what | ratio | must | aim | reached | |", "|---|---|---|---|---|---|"]
    for what, ours, theirs, must, aim in BARS:
        ratio = found[what][ours]["median"] / found[what][theirs]["median"]
        verdict = "aim met" if ratio >= aim else "must met" if ratio >= must else "NOT MET"
        lines.append(f"| {what} | {ours} / {theirs} | {must} | {aim} | {ratio:.2f} | {verdict} |")
    return lines


def costs(found: Rates) -> list[str]:
    """What one image costs on one core, by item and in batches, in µs."""
    lines = [
        "| one image, µs of one core | by item, uint8 | in a batch of 256, float |",
        "|---|---|---|",
    ]
    single, batch = found["one uint8 image"], found["batch of 256"]
    for name in ("RandomAffine", "ElasticTransform", "glyphs", "mnist"):
        whole = batch.get(name)
        cells = [f"{1e6 / rate['median']:.0f}" if rate else "" for rate in (single[name], whole)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True)
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # two workers and the training share two cores
    found = {
        "epoch": epochs(options.root, options.images, options.repeats),
        "one uint8 image": single(options.repeats),
        "batch of 256": batches(options.repeats),
        "loader, 2 workers": through_loaders(options.root, options.images, options.repeats),
    }
    rows = []
    for what, part in found.items():
        rows += [
            {"what": what, "name": name, "images_per_second": rate} for name, rate in part.items()
        ]
    lines = [*table(found), "", *costs(found)]
    check_result(machine() | {"rows": rows})
    save(
        "pipelines",
        {"command": f"pipelines.py --images {options.images}", "rows": rows, "table": lines},
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
