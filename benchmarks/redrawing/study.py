"""Do redrawings add to thickness+affine+elastic? Works through queue.txt, one job per line, until the line "end".

    mkdir trial && cd trial && echo render > queue.txt && python ../benchmarks/redrawing/study.py
    DATA

DATA holds MNIST/raw, omniglot and symbols. Files are written to the working directory. Jobs:

    render                        draws Omniglot at 28x28 (glyphs.py), which the others need vae
    NAME [KEY=VALUE ...]      trains a VAE (redraw.py) run [KEY=VALUE ...]           trains the
    classifier of Arm(KEY=VALUE ...) for each draw, into results.jsonl
"""

import dataclasses
import functools
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import glyphs
import numpy as np
import redraw
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_augment.transforms.distortions import affine_elastic, thickness_affine_elastic

DATA = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
BATCH = 50
DISTORT = {"thick": thickness_affine_elastic, "plain": affine_elastic}


@dataclass(frozen=True)
class Arm:
    """One way to train the classifier.

    Attributes: data: "mnist", "symbols" or "omniglot" (100 of the evaluation characters, which the
        draw chooses). labels: per class. draws: the first and the last, such as "100-102". cnn:
        "small", or "screen": the same with half the channels, a quarter of the time. vae: name of
        the redrawing VAE, "" = none; several joined by "+" share the redrawings. p, strength: share
        of redrawn images in a batch, and of the prior's spread. reject: redrawings that a
        classifier of the same labels, trained classically before, takes for another class
            are not used. "own": that classifier, of "reject_updates" updates.
        times: how often a redrawing is redrawn again.
        others: 1 = the control: each image is moved by fields that the VAE made for other Omniglot
            drawings.
        bank: redrawings that are made beforehand, for all images together.
    """

    data: str = "mnist"
    labels: int = 10
    draws: str = "100-102"
    updates: int = 5000
    cnn: str = "small"
    distort: str = "thick"
    vae: str = ""
    p: float = 0.5
    strength: float = 1.0
    sharpen: float = 1.0
    reject: str = ""
    reject_updates: int = 500
    times: int = 1
    others: int = 0
    rate: float = 1e-3
    dropout: float = 0.5
    bank: int = 20000
    seed: int = 0


def network(classes: int, kind: str, dropout: float = 0.5) -> nn.Sequential:
    """The project's small CNN, the same with half of its channels, or "tiny".

    A sixth of the small one's time.
    """
    if kind == "tiny":
        return nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 48, 3, 2, padding=1),
            nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(48 * 49, 128), nn.ReLU(), nn.Dropout(dropout),
            nn.Identity(), nn.Linear(128, classes),
        )  # fmt: skip
    a, b, hidden = (32, 64, 128) if kind == "small" else (16, 32, 128)
    return nn.Sequential(
        nn.Conv2d(1, a, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(a, b, 5, padding=2), nn.MaxPool2d(2),
        nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(b * 49, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )  # fmt: skip


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    view: Callable,
    updates: int,
    rate: float = 1e-3,
):
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    wanted = updates * BATCH
    order = torch.cat(
        [torch.randperm(len(images)) for _ in range(math.ceil(wanted / len(images)))]
    )[:wanted]
    for rows in order.split(BATCH):
        loss = F.cross_entropy(
            model(view(rows).contiguous(memory_format=torch.channels_last)), labels[rows]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def answers(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(batch).argmax(1) for batch in images.split(500)])


@functools.cache
def mnist() -> tuple[Tensor, ...]:
    found = []
    for part in ("train", "t10k"):
        images = np.frombuffer(
            (DATA / f"MNIST/raw/{part}-images-idx3-ubyte").read_bytes()[16:], np.uint8
        )
        labels = np.frombuffer(
            (DATA / f"MNIST/raw/{part}-labels-idx1-ubyte").read_bytes()[8:], np.uint8
        )
        found += [
            torch.from_numpy(images.reshape(-1, 28, 28).copy()),
            torch.from_numpy(labels.astype(np.int64)),
        ]
    return tuple(found)


@functools.cache
def symbols() -> tuple[Tensor, ...]:
    found = []
    for part in ("train", "test"):
        with np.load(DATA / f"symbols/symbols-{part}.npz") as file:
            found += [torch.from_numpy(file["images"]), torch.from_numpy(file["labels"]).long()]
    return tuple(found)


def draw_of(data: str, labels: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; images [N, 1, 28, 28] in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    if data == "omniglot":
        found = torch.load("evaluation.pt")[1]
        chosen = found[torch.randperm(len(found), generator=generator)[:100]]
        chosen = chosen[:, torch.randperm(20, generator=generator)]
        names = torch.arange(100)
        train, test = chosen[:, :labels].reshape(-1, 28, 28), chosen[:, 10:].reshape(-1, 28, 28)
        parts = train, names.repeat_interleave(labels), test, names.repeat_interleave(10)
    else:
        images, targets, test, test_targets = mnist() if data == "mnist" else symbols()
        order = torch.randperm(len(images), generator=generator)
        rows = torch.cat(
            [order[targets[order] == c][:labels] for c in range(int(targets.max()) + 1)]
        )
        parts = images[rows], targets[rows], test, test_targets
    return parts[0][:, None].float() / 255, parts[1], parts[2][:, None].float() / 255, parts[3]


def bank_of(arm: Arm, images: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Redrawings, and for each image the rows of those that may stand for it."""
    each = max(1, arm.bank // len(images))
    models = [redraw.load(name) for name in arm.vae.split("+")]
    source = torch.arange(len(images)).repeat_interleave(each)
    made = []
    for number, rows in enumerate(source.split(500)):
        batch = images[rows]
        for _ in range(arm.times):
            seen = omniglot_images(len(batch)) if arm.others else None
            batch = models[number % len(models)].redraw(batch, arm.strength, arm.sharpen, seen)
        made.append(batch.clamp(0, 1).clone())
    made = torch.cat(made)
    good = torch.ones(len(made), dtype=torch.bool)
    if arm.reject:
        judge = network(int(labels.max()) + 1, "tiny")
        fit(
            judge,
            images,
            labels,
            lambda rows: DISTORT[arm.distort](images[rows]),
            arm.reject_updates,
        )
        good = answers(judge, made) == labels[source]
    rows = [(good & (source == i)).nonzero()[:, 0] for i in range(len(images))]
    return made, rows


def omniglot_images(count: int) -> Tensor:
    found = background()
    level, character, drawing = (torch.randint(most, (count,)) for most in found.shape[:3])
    return found[level, character, drawing][:, None].float() / 255


@functools.cache
def background() -> Tensor:
    return torch.load("background.pt")


def run(arm: Arm, seed: int) -> dict:
    start = time.process_time()
    images, labels, test, test_labels = draw_of(arm.data, arm.labels, seed)
    torch.manual_seed(seed)
    extra = {}
    if arm.vae:
        made, rows_of = bank_of(arm, images, labels)
        extra["kept"] = round(sum(map(len, rows_of)) / len(made), 3)
        most = max(map(len, rows_of))
        table = torch.stack([_filled(rows, most) for rows in rows_of])
    distort = DISTORT[arm.distort]

    def view(rows: Tensor) -> Tensor:
        batch = images[rows]
        if arm.vae:
            chosen = table[rows, torch.randint(table.shape[1], (len(rows),))]
            is_redrawn = (torch.rand(len(rows)) < arm.p) & (chosen >= 0)
            batch = torch.where(is_redrawn[:, None, None, None], made[chosen], batch)
        return distort(batch)

    torch.manual_seed(seed + 1_000_003 * arm.seed)
    model = network(int(labels.max()) + 1, arm.cnn, arm.dropout)
    fit(model, images, labels, view, arm.updates, arm.rate)
    percent = 100 * float((answers(model, test) == test_labels).double().mean())
    seconds = round(time.process_time() - start)
    return {
        **dataclasses.asdict(arm),
        "draw": seed,
        "accuracy": round(percent, 2),
        **extra,
        "cpu": seconds,
    }


def _filled(rows: Tensor, count: int) -> Tensor:
    """`rows` over and over, `count` in all; -1 where there are none."""
    return (
        rows.repeat(math.ceil(count / len(rows)))[:count] if len(rows) else torch.full((count,), -1)
    )


def values(kind, words: list[str]) -> dict:
    types = {f.name: type(f.default) for f in dataclasses.fields(kind)}
    return {key: types[key](value) for key, value in (word.split("=") for word in words)}


def work(line: str) -> None:
    kind, *words = line.split()
    if kind == "render":
        glyphs.main(str(DATA))
    elif kind == "vae":
        redraw.train(redraw.Config(**values(redraw.Config, words[1:])), words[0])
    else:
        arm = Arm(**values(Arm, words))
        first, last = map(int, arm.draws.split("-"))
        for seed in range(first, last + 1):
            record = run(arm, seed)
            with open("results.jsonl", "a") as file:
                file.write(json.dumps(record) + "\n")
            print(
                seed, record["accuracy"], record.get("kept"), f"{record['cpu']} s", line, flush=True
            )


def main() -> None:
    torch.set_num_threads(1)
    while True:
        lines = [line for line in Path("queue.txt").read_text().splitlines() if line.strip()]
        done = Path("done.txt").read_text().splitlines() if Path("done.txt").exists() else []
        todo = [line for line in lines if line not in done]
        if not todo:
            time.sleep(2)
            continue
        if todo[0] == "end":
            return
        start = time.time()
        try:
            work(todo[0])
        except Exception as error:  # a broken job must not stop the others
            print("FAILED", todo[0], repr(error), flush=True)
        with open("done.txt", "a") as file:
            file.write(todo[0] + "\n")
        print(f"= {time.time() - start:.0f} s wall: {todo[0]}", flush=True)


if __name__ == "__main__":
    main()
