"""Images that a model draws itself, by class, and the line in latent space between two of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..model.pixels import from_batch
from ..model.vae_model import VAEModel
from .code import quoted, script

PER_CLASS = 10
STEPS = 11  # images on the line, its two ends among them
SHOWN_AT_FIRST = 5  # classes


class Sample(NamedTuple):
    """One of a class's samples. `label` is "" for a model without classes; `number` is 0 to 9."""

    label: str
    number: int


class Drawn(NamedTuple):
    """Images [N, C, H, W] uint8 by caption, and Python that gives the same images."""

    rows: dict[str, Tensor]
    code: str


def can_draw(model: VAEModel) -> bool:
    """Whether the model draws images by itself."""
    return model.spec.kind.samples


def classes_to_choose(model: VAEModel) -> tuple[str, ...]:
    """The classes whose samples can be drawn."""
    return model.spec.classes if model.spec.generates_classes else ()


def draw_samples(model: VAEModel, name: str, labels: Sequence[str], seed: int) -> Drawn:
    """Ten samples of each of the classes; of a model without classes, ten samples.

    `name` is the argument of `load` that gave the model, for the code. `InputError` for an unknown
    class.
    """
    chosen = list(labels) if classes_to_choose(model) else [""]
    rows = {label: _uint8(_samples(model, label, seed)) for label in chosen}
    if not classes_to_choose(model):
        line = f"samples, _ = load({quoted(name)}).sample({PER_CLASS}, seed={seed})"
        return Drawn(rows, script(["from vae_augment import load"], [line]))
    each = f"model.sample({PER_CLASS}, labels=name, seed={seed})[0]"
    names = ", ".join(quoted(label) for label in chosen)
    lines = [f"model = load({quoted(name)})", f"samples = {{name: {each} for name in [{names}]}}"]
    return Drawn(rows, script(["from vae_augment import load"], lines))


def draw_line(model: VAEModel, name: str, start: Sample, end: Sample, seed: int) -> Drawn:
    """The images on the straight line between the latents of two samples, eleven of them.

    The samples are encoded and the line is decoded without labels, so that it can lead from one
    class to another. `InputError` for an unknown class.
    """
    ends = torch.cat([_one(model, sample, seed) for sample in (start, end)])
    mean, _ = model.encode(ends)
    steps = torch.linspace(0, 1, STEPS)[:, None]
    line = model.decode(torch.lerp(mean[:1], mean[1:], steps))
    first, last = (f"({_call(sample, seed)})[0][{sample.number}:]" for sample in (start, end))
    code = script(
        ["import torch", "from vae_augment import load"],
        [
            f"model = load({quoted(name)})",
            f"start = model.sample{first}",
            f"end = model.sample{last}",
            "mean, _ = model.encode(torch.cat([start, end]))",
            f"steps = torch.linspace(0, 1, {STEPS})[:, None]",
            "line = model.decode(torch.lerp(mean[:1], mean[1:], steps))",
        ],
    )
    return Drawn({"": _uint8(line)}, code)


def _samples(model: VAEModel, label: str, seed: int) -> Tensor:
    return model.sample(PER_CLASS, labels=label or "balanced", seed=seed)[0]


def _one(model: VAEModel, sample: Sample, seed: int) -> Tensor:
    return _samples(model, sample.label, seed)[sample.number :][:1]


def _call(sample: Sample, seed: int) -> str:
    labels = f", labels={quoted(sample.label)}" if sample.label else ""
    return f"{sample.number + 1}{labels}, seed={seed}"


def _uint8(images: Tensor) -> Tensor:
    return from_batch(images, torch.uint8)
