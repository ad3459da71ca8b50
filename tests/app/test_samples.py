"""Samples by class and the line between two of them, with the code that gives the same images."""

from typing import Any

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.app.samples import (
    Sample,
    can_draw,
    classes_to_choose,
    draw_line,
    draw_samples,
)
from vae_augment.errors import InputError
from vae_augment.model.pixels import from_batch


def run(code: str, name: str) -> Any:
    names: dict[str, Any] = {}
    exec(code, names)
    return names[name]


def test_samples_by_class(tiny_model: VAEModel) -> None:
    drawn = draw_samples(tiny_model, str(tiny_model.path), ["3", "8"], seed=4)
    assert list(drawn.rows) == ["3", "8"]
    found = run(drawn.code, "samples")
    for label, images in drawn.rows.items():
        assert images.shape == (10, 1, 8, 8)
        assert from_batch(found[label], torch.uint8).equal(images)
    assert not drawn.rows["3"].equal(drawn.rows["8"])


def test_an_unknown_class(tiny_model: VAEModel) -> None:
    with pytest.raises(InputError, match="There is no class 'ant'"):
        draw_samples(tiny_model, "tiny", ["ant"], seed=0)


def test_no_class_chosen(tiny_model: VAEModel) -> None:
    assert draw_samples(tiny_model, "tiny", [], seed=0).rows == {}


def test_the_line_between_two(tiny_model: VAEModel) -> None:
    samples = draw_samples(tiny_model, "tiny", ["3", "8"], seed=4).rows
    start = Sample("3", 6)
    end = Sample("8", 9)
    drawn = draw_line(tiny_model, str(tiny_model.path), start, end, seed=4)
    (line,) = drawn.rows.values()
    assert line.shape == (11, 1, 8, 8)
    assert from_batch(run(drawn.code, "line"), torch.uint8).equal(line)
    assert run(drawn.code, "start").shape == run(drawn.code, "end").shape == (1, 1, 8, 8)
    ends = torch.stack([samples["3"][6], samples["8"][9]])
    rounded = from_batch(tiny_model.reconstruct(ends), torch.uint8).int()
    assert (rounded - line[[0, -1]].int()).abs().max() <= 2


def test_what_a_model_can_draw(tiny_model: VAEModel) -> None:
    assert can_draw(tiny_model)
    assert classes_to_choose(tiny_model) == tuple("0123456789")
    assert not can_draw(load("glyphs", provider="cpu"))
