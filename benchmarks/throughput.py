"""How fast `VAEAugment` and `VAESyntheticDataset` are, beside torchvision and bare onnxruntime.

    python -m benchmarks.throughput --root DIR    # some minutes; DIR holds torchvision's MNIST
    python -m benchmarks.throughput --quick       # within a minute, no epochs

Single calls are timed by the processor time of one thread, which other work on the machine disturbs
little; epochs, which two workers load, by the clock. What is compared takes turns in one process.
Outputs are checked before anything is timed. The result goes to results/throughput.json.

"session.run" is onnxruntime alone, on what the call of `VAEAugment` gives it; "own code" is the
difference between the two.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets
from torchvision.transforms import v2

from benchmarks.common import RESULTS, Row, Spread, machine, rates
from vae_augment import AugmentedDataset, VAEAugment, VAESyntheticDataset, load
from vae_augment.evaluation.report import markdown
from vae_augment.model.sessions import open_session

FILE = RESULTS / "throughput.json"
BATCH = 256
DEFAULT_P = 0.5  # of `VAEAugment`; elsewhere every image is perturbed
MODELS = ("mnist", "glyphs")
Runs = dict[str, Callable[[], Any]]


def affine() -> v2.Transform:
    """The warp that everything is compared with."""
    return v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1))


def vae(name: str, p: float = 1.0, residual: bool | None = None) -> VAEAugment:
    """A perturbation by a bundled model, of every image if nothing else is said."""
    return VAEAugment(load(name, provider="cpu", threads=1), p=p, residual=residual)


def transforms() -> dict[str, v2.Transform]:
    """What is timed, by name; the warp comes first."""
    return {
        "v2.RandomAffine": affine(),
        "v2.ElasticTransform": v2.ElasticTransform(),
        "VAEAugment(mnist)": vae("mnist"),
        "VAEAugment(mnist, residual=False)": vae("mnist", residual=False),
        "VAEAugment(glyphs)": vae("glyphs"),
    }


def bare_session(name: str, images: Tensor) -> Callable[[], Any]:
    """onnxruntime alone on the part of a bundled model that a call runs, its inputs made before."""
    augment = vae(name)
    model = augment.model
    part = "residual" if augment.residual else "whole"
    session = open_session(model.file.part(part), ["CPUExecutionProvider"], 1, strict=False)
    noise = torch.randn(len(images), model.spec.latent_dim)
    inputs = model.whole_inputs(images, noise, augment.unit)
    feeds = {key: value.numpy() for key, value in inputs.items()}
    check_session(augment, session.run(None, feeds)[0], images, noise)
    return partial(session.run, None, feeds)


def check_session(augment: VAEAugment, found: Any, images: Tensor, noise: Tensor) -> None:
    """`VAEAugment` gives what bare onnxruntime gives for the same noise."""
    params = augment.make_params([images]) | {"noise": noise}
    ours = augment.transform(images, params)
    torch.testing.assert_close(ours, torch.as_tensor(found), atol=1e-5, rtol=0)


def single_image() -> Runs:
    """One uint8 image per call."""
    image = torch.randint(256, (1, 28, 28), dtype=torch.uint8)
    runs: Runs = {name: partial(transform, image) for name, transform in transforms().items()}
    return runs | {f"session.run({name})": bare_session(name, image[None] / 255) for name in MODELS}


def whole_batch() -> Runs:
    """256 float images per call; torchvision's transforms move a batch as one, so one by one."""
    images = torch.rand(BATCH, 1, 28, 28)

    def one_by_one(transform: v2.Transform) -> None:
        for image in images:
            transform(image)

    runs: Runs = {}
    for name, transform in transforms().items():
        is_ours = isinstance(transform, VAEAugment)
        runs[name] = partial(transform, images) if is_ours else partial(one_by_one, transform)
    return runs | {f"session.run({name})": bare_session(name, images) for name in MODELS}


def generated() -> Runs:
    """1,024 generated images per call."""
    model = load("mnist", provider="cpu", threads=1)
    data = VAESyntheticDataset(model, 4 * BATCH)
    latent = torch.randn(BATCH, model.spec.latent_dim)
    labels = torch.zeros(BATCH, dtype=torch.int64)

    def decode() -> None:
        for _ in range(4):
            model.decode(latent, labels)

    return {"VAESyntheticDataset.batches": lambda: exhaust(data.batches(BATCH)), "decode": decode}


def epochs(root: str, count: int) -> Runs:
    """An epoch of a small CNN on MNIST; each augmentation stands where a user writes it."""
    data = {
        "v2.RandomAffine in the Compose": mnist(root, count, affine()),
        "v2.ElasticTransform in the Compose": mnist(root, count, v2.ElasticTransform()),
    }
    plain = mnist(root, count, v2.Identity())
    for name in MODELS:
        data[f"VAEAugment({name}) in the Compose"] = mnist(root, count, vae(name))
        usual = mnist(root, count, vae(name, p=DEFAULT_P))
        data[f"VAEAugment({name}, p={DEFAULT_P}) in the Compose"] = usual
        data[f"AugmentedDataset with VAEAugment({name})"] = AugmentedDataset(plain, vae(name))
    return {name: partial(train, loader(each)) for name, each in data.items()}


def loaded(root: str, count: int) -> Runs:
    """A pass through a loader."""
    synthetic = VAESyntheticDataset(load("mnist", provider="cpu"), count)
    data = {
        "datasets.MNIST": mnist(root, count, v2.Identity()),
        "VAESyntheticDataset(mnist)": synthetic,
    }
    return {name: partial(exhaust, loader(each)) for name, each in data.items()}


def mnist(root: str, count: int, augment: v2.Transform) -> Dataset[Any]:
    """The first training images of MNIST."""
    transform = v2.Compose([v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True)])
    return Subset(datasets.MNIST(root, transform=transform), range(count))


def loader(data: Dataset[Any]) -> DataLoader[Any]:
    """Two workers, which stay between epochs."""
    return DataLoader(data, 128, shuffle=True, num_workers=2, persistent_workers=True)


def exhaust(batches: Iterable[Any]) -> None:
    """Read all batches."""
    for _ in batches:
        pass


def train(batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Train a small CNN for one epoch."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 6 * 6, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()


def measured(root: str | None, *, repeats: int, seconds: float, images: int) -> list[Row]:
    """A row for each thing that is timed."""
    alone = partial(rates, repeats=repeats, seconds=seconds, clock=process_time)
    found = {
        "one uint8 image": alone(single_image(), 1),
        "float batch of 256": alone(whole_batch(), BATCH),
        "generation": alone(generated(), 4 * BATCH),
    }
    if root is not None:
        by_clock = partial(rates, images=images, repeats=repeats, seconds=0)
        found["epoch, 2 workers"] = by_clock(epochs(root, images))
        found["loader, 2 workers"] = by_clock(loaded(root, images))
    rows = [
        {"what": what, "name": name, "images_per_second": rate}
        for what, group in found.items()
        for name, rate in group.items()
    ]
    return rows + own_code(found["one uint8 image"])


def own_code(single: Mapping[str, Spread]) -> list[Row]:
    """What a call with one image takes besides onnxruntime, in microseconds."""
    rows = []
    for name in MODELS:
        call = 1e6 / single[f"VAEAugment({name})"]["median"]
        session = 1e6 / single[f"session.run({name})"]["median"]
        rows.append({"what": "own code, one uint8 image", "name": name, "us": call - session})
    return rows


def table(rows: Sequence[Row]) -> str:
    """Images per second, microseconds per image, and the ratio to the first of each group."""
    first: dict[str, float] = {}
    lines = []
    for row in rows:
        name = f"{row['what']}: {row['name']}"
        if "us" in row:
            lines.append([name, "", f"{row['us']:,.0f}", ""])
            continue
        rate = row["images_per_second"]["median"]
        ratio = rate / first.setdefault(row["what"], rate)
        lines.append([name, f"{rate:,.0f}", f"{1e6 / rate:,.1f}", f"{ratio:.2f}"])
    return markdown(["what", "images per second", "us per image", "ratio to the first"], lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="folder of torchvision's MNIST; without it no epochs")
    parser.add_argument("--quick", action="store_true", help="short turns")
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.quick:
        rows = measured(options.root, repeats=3, seconds=0.1, images=1_000)
    else:
        rows = measured(options.root, repeats=7, seconds=0.5, images=12_000)
    facts = machine() | {"quick": options.quick, "rows": rows}
    options.output.write_text(json.dumps(facts, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
