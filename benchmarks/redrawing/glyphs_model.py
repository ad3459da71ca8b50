"""Does a VAE conditioned on an image add to the best distortion? Each pair has the same labels and seed.

    python -m benchmarks.redrawing.glyphs_model DATA RESULTS.jsonl mnist:1:0-4 symbols:10:0-2
    mnist:tail:0-1 ... python -m benchmarks.redrawing.glyphs_model --table RESULTS.jsonl

DATA holds MNIST/raw, FashionMNIST/raw, omniglot and symbols. A job is a data set, labels per class
("tail": class sizes from 1,000 to 10, balanced by repetition), and the first and last draw. The
small CNN is trained for 5,000 updates of 50 images. Runs that RESULTS holds are not repeated.
Omniglot's classes are 100 of its evaluation characters, which the draw chooses: give --model a file
that was trained on the background characters alone. Garments are redrawn by a VAE that each draw
trains on its own images. --pretrained FOLDER begins with weights that know Omniglot's characters:
glyphs.py has written background.pt and evaluation.pt there, and the weights are kept there.
"""

import argparse
import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.benefit.draws import balanced_accuracy
from benchmarks.benefit.methods import oversampled
from benchmarks.benefit.regimes import long_tail
from benchmarks.redrawing import glyphs
from vae_augment import VAEModel
from vae_augment.evaluation.classifier import Distort, small_cnn, train
from vae_augment.evaluation.experiment import (
    GIVEN,
    LABELLED,
    WITH_VAE,
    Draw,
    Group,
    Method,
    Run,
    run_method,
)
from vae_augment.evaluation.report import by_method, markdown, paired
from vae_augment.evaluation.splits import Source, Split, choose_labels
from vae_augment.evaluation.vaes import fit_model, given_vae
from vae_augment.training import FitConfig, ImageData
from vae_augment.transforms.distortions import affine_elastic, flip_shift, thickness_affine_elastic

UPDATES = 5000
PRETRAINING, CHARACTERS = 6000, 100  # updates, and characters in each
CLASSICAL = "thickness+affine+elastic"
GARMENTS = "fashion-mnist"
REDRAWING = FitConfig(
    network="redrawing", latent_dim=16, batch_size=64, learning_rate=2e-3, epochs=1
)
VAE_UPDATES = 4000  # of a VAE of a draw's own images


@dataclass(frozen=True)
class Pretrained(Method):
    """A method whose classifier has first learned to tell Omniglot's characters apart, all 1,623 of them."""

    folder: str = ""  # that holds the characters' images

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        images, labels = self.images(draw)
        torch.manual_seed(draw.seed)
        model = small_cnn(draw.labelled.image_shape, len(draw.labelled.classes))
        known = pretrained(Path(self.folder))
        model.load_state_dict(
            {name: known.get(name, value) for name, value in model.state_dict().items()}
        )
        return train(model, images, labels, self.augmentation(draw), draw.updates), draw.updates


def pretrained(folder: Path) -> dict[str, Tensor]:
    """The weights of a CNN that tells Omniglot's characters apart, without its last layer."""
    path = folder / "pretrained.pt"
    if not path.exists():
        torch.save(pretrain(folder), path)
    return torch.load(path)


def pretrain(folder: Path) -> dict[str, Tensor]:
    images = torch.cat(
        [torch.load(folder / f"{part}.pt") for part in ("background", "evaluation")], 1
    )
    levels, characters, drawings = images.shape[:3]
    torch.manual_seed(0)
    model = small_cnn((1, 28, 28), characters).to(memory_format=torch.channels_last)
    for layer in model:
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # with it only a tenth of the characters was told apart
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=PRETRAINING)
    for update in range(PRETRAINING):
        character = torch.randint(characters, (CHARACTERS,))
        chosen = (
            torch.randint(levels, (CHARACTERS,)),
            character,
            torch.randint(drawings, (CHARACTERS,)),
        )
        batch = affine_elastic(images[chosen][:, None].float() / 255).contiguous(
            memory_format=torch.channels_last
        )
        scores = model(batch)
        optimizer.zero_grad()
        F.cross_entropy(scores, character).backward()
        optimizer.step()
        schedule.step()
        if (update + 1) % 500 == 0:
            print(
                "pretraining",
                update + 1,
                float((scores.argmax(1) == character).float().mean()),
                flush=True,
            )
    return {name: value for name, value in model.state_dict().items() if not name.startswith("11.")}


def own_vae(draw: Draw) -> VAEModel:
    """A VAE conditioned on an image, trained on the draw's own images."""
    epochs = max(1, round(VAE_UPDATES * REDRAWING.batch_size / len(draw.labelled)))
    return fit_model(draw.labelled, replace(REDRAWING, epochs=epochs, seed=draw.seed))


def best(data: str) -> tuple[str, Distort]:
    """The best distortion of these images: its name, and itself."""
    return ("flip+shift", flip_shift) if data == GARMENTS else (CLASSICAL, thickness_affine_elastic)


def methods(data: str, model: str, is_long_tailed: bool, characters: str) -> tuple[Method, Method]:
    """The best distortion of these images, and the same after redrawing."""
    kind, prefix = (
        (functools.partial(Pretrained, folder=characters), "pretrained+")
        if characters
        else (Method, "")
    )
    images = oversampled if is_long_tailed else Draw.real
    name, distort = best(data)
    redrawer, vae, known = Path(model).stem, functools.partial(given_vae, model), GIVEN
    if data == GARMENTS:
        redrawer, vae, known = "own", own_vae, LABELLED
    redrawn = f"{prefix}{redrawer}+{name}"
    return (
        kind(prefix + name, distort, images=images),
        kind(
            redrawn, distort, vae, vae_is_first=True, images=images, kind=WITH_VAE, trained_on=known
        ),
    )


@dataclass(frozen=True)
class Characters(Group):
    """100 of Omniglot's evaluation characters.

    `labels` of ten drawings to train on, ten others to test on.
    """

    labels: int = 10

    def draw(self) -> Draw:
        generator = torch.Generator().manual_seed(self.seed)
        drawings = np.load(Path(str(self.source.root), "omniglot", "images_evaluation.npz"))[
            "images"
        ]
        chosen = drawings[torch.randperm(len(drawings), generator=generator)[:100].numpy()]
        chosen = chosen[:, torch.randperm(chosen.shape[1], generator=generator).numpy()]
        images = glyphs.render(~chosen.reshape(-1, *chosen.shape[2:]))[2].view(100, -1, 1, 28, 28)
        labelled, test = (_characters(part) for part in (images[:, : self.labels], images[:, 10:]))
        return Draw(labelled, test, self.seed, updates=self.updates)


def _characters(images: Tensor) -> ImageData:
    names = torch.arange(len(images)).repeat_interleave(images.shape[1])
    return ImageData("omniglot", images.flatten(0, 1), names, tuple(map(str, range(len(images)))))


def tail(images: ImageData, seed: int) -> Split:
    """`long_tail` without the extra images."""
    return Split(long_tail(images, seed).labelled)


def group(data: str, regime: str, seed: int, root: Path, pair: tuple[Method, ...]) -> Group:
    """The images and methods of one draw."""
    if regime == "tail":
        return Group(
            "long tail", source(data, root), seed, tail, pair, UPDATES, metric=balanced_accuracy
        )
    split = functools.partial(choose_labels, per_class=int(regime))
    if data == "omniglot":
        return Characters(
            f"{regime} labels",
            Source(data, str(root)),
            seed,
            split,
            pair,
            UPDATES,
            labels=int(regime),
        )
    return Group(f"{regime} labels", source(data, root), seed, split, pair, UPDATES)


def source(data: str, root: Path) -> Source:
    """A named data set, or the symbols' two files as one that has a test part."""
    if data != "symbols":
        return Source(data, str(root))
    train_part, test = (root / "symbols" / f"symbols-{part}.npz" for part in ("train", "test"))
    return Source(str(train_part), None, (str(test),))


def read(path: Path) -> list[Run]:
    return (
        [Run(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    )


def table(runs: Iterable[Run]) -> str:
    """For each data set, number of labels and model, both accuracies of each draw and their difference.

    "wide glyphs" is the model that was bundled before, with twice the channels.
    """
    runs = list(runs)
    with_vae = {run.method for run in runs if run.kind == WITH_VAE}
    rows = []
    for data, regime in sorted({(run.data, run.regime) for run in runs}):
        found = by_method(run for run in runs if (run.data, run.regime) == (data, regime))
        ending = "+" + best(data)[0]
        for name in sorted(found.keys() & with_vae):
            model = name.removesuffix(ending)
            base = found.get(
                "pretrained" + ending if model.startswith("pretrained") else ending[1:], {}
            )
            draws = sorted(base.keys() & found[name].keys())
            pairs = ", ".join(
                f"{draw}: {base[draw]:.2f} -> {found[name][draw]:.2f}" for draw in draws
            )
            rows.append([data, regime, model, pairs, str(paired(found[name], base))])
    return markdown(
        ["data", "regime", "model", "draw: without -> with it", "difference, 95 %"], rows
    )


def draws_of(jobs: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """The data set, the regime and the seed of each draw of jobs such as mnist:10:0-4."""
    for job in jobs:
        data, regime, draws = job.split(":")
        first, last = map(int, draws.split("-"))
        for seed in range(first, last + 1):
            yield data, regime, seed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="print the table of RESULTS and end")
    parser.add_argument("--model", default="glyphs", help="bundled name or .onnx file that redraws")
    parser.add_argument(
        "--pretrained",
        metavar="FOLDER",
        default="",
        help="begin with weights of Omniglot's characters",
    )
    parser.add_argument(
        "paths", nargs="+", help="DATA RESULTS JOB ..., or with --table only RESULTS"
    )
    options = parser.parse_args()
    if options.table:
        print(table(read(Path(options.paths[0]))))
        return
    torch.set_num_threads(1)
    root, results, *jobs = options.paths
    for data, regime, seed in draws_of(jobs):
        pair = methods(data, options.model, regime == "tail", options.pretrained)
        run_group(group(data, regime, seed, Path(root), pair), data, Path(results))


def run_group(job: Group, data: str, results: Path) -> None:
    """Run the methods of one draw that `results` does not have, and add them to it."""
    seen = {(run.regime, run.data, run.method, run.draw) for run in read(results)}
    images = job.draw()
    for method in job.methods:
        if (job.regime, data, method.name, job.seed) in seen:
            continue
        run = run_method(method, images, job.regime, data, job.metric)
        with open(results, "a") as file:
            file.write(json.dumps(run.facts()) + "\n")
        print(
            run.regime,
            data,
            job.seed,
            method.name,
            run.accuracy,
            f"{run.seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
