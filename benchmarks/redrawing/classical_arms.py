"""torchvision's automatic augmentations and MixUp beside the distortions that a VAE has to beat.

    python -m benchmarks.redrawing.classical_arms DATA RESULTS.jsonl mnist:10:0-1
    fashion-mnist:10:0-1 python -m benchmarks.redrawing.classical_arms --table RESULTS.jsonl

Jobs are those of glyphs_model.py. MixUp follows the best distortion of the images, with which the
table compares all.
"""

import math
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from benchmarks.redrawing.glyphs_model import best, draws_of, group, read, run_group
from vae_augment.evaluation.classifier import BATCH, logits, small_cnn
from vae_augment.evaluation.experiment import Draw, Method, Run
from vae_augment.evaluation.report import by_method, markdown, paired
from vae_augment.transforms.distortions import one_by_one


class MixUp(Method):
    """A method whose batches and labels are mixed after the distortion.

    Trained as by `classifier.train`.
    """

    def train(self, draw: Draw) -> tuple[nn.Module, int]:
        images, labels = self.images(draw)
        classes = len(draw.labelled.classes)
        torch.manual_seed(draw.seed)
        model = small_cnn(draw.labelled.image_shape, classes).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, draw.updates)
        count, mix = draw.updates * BATCH, v2.MixUp(num_classes=classes, alpha=0.2)
        order = torch.cat(
            [torch.randperm(len(images)) for _ in range(math.ceil(count / len(images)))]
        )
        for rows in order[:count].split(BATCH):
            batch, shares = mix(self.distort(images[rows]), labels[rows])
            optimizer.zero_grad()
            F.cross_entropy(logits(model, batch), shares).backward()
            optimizer.step()
            schedule.step()
        return model.eval(), draw.updates


def arms(data: str) -> tuple[Method, ...]:
    name, distort = best(data)
    return (
        Method("TrivialAugmentWide", partial(one_by_one, v2.TrivialAugmentWide())),
        Method("RandAugment", partial(one_by_one, v2.RandAugment())),
        MixUp(f"MixUp after {name}", distort),
    )


def table(runs: Iterable[Run]) -> str:
    """What each arm reaches, and its difference from the best distortion of the same images."""
    runs = list(runs)
    rows = []
    for data, regime in sorted(
        {(run.data, run.regime) for run in runs if run.method == "TrivialAugmentWide"}
    ):
        found = by_method(run for run in runs if (run.data, run.regime) == (data, regime))
        base = best(data)[0]
        for method in (each for each in arms(data) if each.name in found):
            values = ", ".join(
                f"{draw}: {value:.2f}" for draw, value in sorted(found[method.name].items())
            )
            rows.append(
                [
                    data,
                    regime,
                    method.name,
                    values,
                    f"{paired(found[method.name], found[base])} ({base})",
                ]
            )
    return markdown(
        ["data", "regime", "method", "draw: accuracy", "minus the best distortion"], rows
    )


def main(root: str, results: str, *jobs: str) -> None:
    if root == "--table":
        print(table(read(Path(results))))
        return
    torch.set_num_threads(1)
    for data, regime, seed in draws_of(jobs):
        run_group(group(data, regime, seed, Path(root), arms(data)), data, Path(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
