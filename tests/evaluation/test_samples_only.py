"""What samples alone teach a small classifier, and what is said where that is little."""

import json
import math
from dataclasses import replace

import pytest
import torch

from vae_augment import VAEModel, load
from vae_augment.errors import InputError
from vae_augment.evaluation import measure_samples_only, sample_advice, samples_only
from vae_augment.evaluation.intervals import Estimate
from vae_augment.evaluation.sample_bench import SampleBench
from vae_augment.evaluation.samples_only import SamplesOnly, keep_for_test
from vae_augment.privacy.words import samples_only_in_words
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.reducing import images_at_once, reduced


@pytest.fixture(scope="module")
def test() -> ImageData:
    return load_data("digits", train=False)


def images_of(counts: list[int]) -> ImageData:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = torch.arange(len(labels)).remainder(256).to(torch.uint8).view(-1, 1, 1, 1)
    return ImageData("mine", images, labels, tuple(map(str, range(len(counts)))))


def test_equal_seeds_give_equal_figures_and_leave_the_callers_numbers_alone(
    tiny_model: VAEModel, digits: ImageData, test: ImageData
) -> None:
    state = torch.get_rng_state()
    found = measure_samples_only(tiny_model, digits, test, updates=5, seeds=(0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert found == measure_samples_only(tiny_model, digits, test, updates=5, seeds=(0, 1))
    entry = found.to_evidence()
    assert entry["seeds"] == [0, 1]
    assert entry["test_images"] == 500
    assert entry["samples"] - entry["real"] == pytest.approx(entry["difference"][0])
    assert not entry["private"]


def test_samples_come_in_the_proportions_of_the_training_images(
    tiny_model: VAEModel, digits: ImageData, test: ImageData
) -> None:
    mostly_zeros = torch.cat([(digits.labels == 0).nonzero()[:90, 0], torch.arange(10)])
    bench = SampleBench(tiny_model, digits.subset(mostly_zeros), test, updates=20)
    images, labels = bench.samples(seed=0)
    assert images.shape == (1000, 1, 8, 8)
    expected = 10 * (digits.labels[mostly_zeros] == 0).sum()
    assert (labels == 0).sum() == expected


def test_large_images_are_reduced_for_the_classifier() -> None:
    images = torch.randint(256, (3, 3, 64, 96), dtype=torch.uint8)
    small = reduced(images)
    assert small.shape == (3, 3, 21, 32)
    assert small.mean() == pytest.approx(float(images.float().mean() / 255), abs=0.01)
    assert images_at_once(images) == 166


def test_a_fifth_of_each_class_is_kept_but_no_more_than_the_interval_needs() -> None:
    kept = keep_for_test(images_of([500, 100, 4]))
    assert kept is not None
    assert kept.test.labels.bincount().tolist() == [100, 20]
    assert kept.train.labels.bincount().tolist() == [400, 80, 4]
    assert keep_for_test(images_of([200, 200])) is None
    many = keep_for_test(images_of([9_000, 11_000]))
    assert many is not None
    assert len(many.test) == 2_000
    again = keep_for_test(images_of([500, 100, 4]))
    assert again is not None
    assert torch.equal(kept.test.images, again.test.images)
    other = keep_for_test(images_of([500, 100, 4]), seed=1)
    assert other is not None
    assert not torch.equal(kept.test.images, other.test.images)


def test_images_without_a_label_are_all_trained_on() -> None:
    data = images_of([500, 100])
    labels = data.labels.clone()
    labels[::10] = -1
    kept = keep_for_test(replace(data, labels=labels))
    assert kept is not None
    assert (kept.test.labels >= 0).all()
    assert (kept.train.labels == -1).sum() == 60


def test_what_cannot_be_measured_is_refused(
    tiny_model: VAEModel, digits: ImageData, test: ImageData
) -> None:
    with pytest.raises(InputError, match="'glyphs' draws no images of classes"):
        measure_samples_only(load("glyphs"), digits, test)
    with pytest.raises(InputError, match=r"digits has images .* of 3 classes; the model"):
        measure_samples_only(tiny_model, digits, replace(test, classes=("a", "b", "c")))
    with pytest.raises(InputError, match="digits has no labels"):
        measure_samples_only(
            tiny_model, replace(digits, labels=torch.full_like(digits.labels, -1)), test
        )


def advice(
    bench: SampleBench, monkeypatch: pytest.MonkeyPatch, reconstructed: float, error: float
) -> str:
    monkeypatch.setattr(bench, "accuracy", lambda batch, seed: reconstructed)
    monkeypatch.setattr(sample_advice, "_larger_error", lambda bench: error)
    return sample_advice.advise(bench, samples=70.0, real=90.0, seed=0)


def test_the_advice_follows_from_what_was_measured(
    tiny_model: VAEModel, digits: ImageData, test: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = SampleBench(tiny_model, digits, test, updates=20)
    assert "more images would help, not more minutes" in advice(bench, monkeypatch, 72.0, 1.5)
    assert "--beta 0.2, or more minutes" in advice(bench, monkeypatch, 72.0, 1.0)
    assert "--latent-dim 13, or a larger --beta" in advice(bench, monkeypatch, 88.0, 1.0)
    with monkeypatch.context() as patched:
        # As a file of "energy" states it, whose latent has its detail beside these.
        patched.setitem(tiny_model.spec.training, "latent_dim", 12)
        assert "--latent-dim 8, or a larger --beta" in advice(bench, patched, 88.0, 1.0)
    few = SampleBench(tiny_model, digits.subset(torch.arange(200)), test, updates=20)
    text = advice(few, monkeypatch, 88.0, 1.0)
    assert "reconstructions of the training images teach 88.0 %, so most is lost where" in text
    assert "Classes have 20 images (the median): more images would help." in text


def test_advice_is_given_only_where_samples_fall_far_behind(
    tiny_model: VAEModel, digits: ImageData, test: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_only, "advise", lambda *arguments: "train longer")
    for lost, expected in ((2.0, ""), (4.0, "train longer")):
        found = Estimate(-lost, 1.0, 2)
        monkeypatch.setattr(samples_only, "with_test_noise", lambda *arguments: found)  # noqa: B023
        measured = measure_samples_only(tiny_model, digits, test, updates=2, seeds=(0, 1))
        assert measured.advice == expected


def test_words_name_interval_protocol_advice_and_epsilon() -> None:
    found = SamplesOnly({0: 80.0}, {0: 90.0}, Estimate(-10.0, 1.5, 1), 1500, 200, "more", True)
    lines = samples_only_in_words(found.to_evidence())
    assert lines[0].endswith("reaches 80.00 %, on the real images 90.00 %: -10.00 ± 1.50 points")
    assert "1500 updates, seeds 0, on 200 images" in lines[1]
    assert lines[2:] == ["more", "it looked at the private images, outside epsilon"]
    single = replace(found, difference=Estimate(-10.0, math.inf, 1)).to_evidence()
    assert json.loads(json.dumps(single, allow_nan=False)) == single
    assert samples_only_in_words(single)[0].endswith("90.00 %: -10.00 points")
