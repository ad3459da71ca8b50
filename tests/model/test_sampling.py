import tracemalloc

import numpy as np
import pytest

from vae_augment import VAEAugmentError
from vae_augment.model.latents import Latents
from vae_augment.model.sampling import draw_latents, parse_labels
from vae_augment.model.spec import Spec

ANIMALS = Spec(image_shape=(1, 8, 8), latent_dim=2, classes=("cat", "dog", "emu"), conditional=True)
UNLABELLED = Spec(image_shape=(1, 8, 8), latent_dim=2)
INDEX = np.arange(3_000)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("balanced", [0, 1, 2, 0, 1, 2]),
        (1, [1] * 6),
        (np.int64(2), [2] * 6),
        ("emu", [2] * 6),
        (["dog", 0], [1, 0, 1, 0, 1, 0]),
        ([2, 2, 0], [2, 2, 0, 2, 2, 0]),
    ],
)
def test_classes_in_turn(labels: object, expected: list[int]) -> None:
    drawn = parse_labels(labels, ANIMALS).at(INDEX[:6], seed=0)
    assert drawn.tolist() == expected
    assert drawn.dtype == np.int64


def test_weights_are_shares() -> None:
    drawn = parse_labels({"cat": 1, 2: 3}, ANIMALS).at(INDEX, seed=0)
    assert np.bincount(drawn, minlength=3)[1] == 0
    assert np.mean(drawn == 2) == pytest.approx(0.75, abs=0.03)


def test_a_weight_of_zero_never_comes() -> None:
    index = np.arange(200_000)
    for weights in ({0: 0, 1: 1, 2: 0}, {0: 0.1, 1: 0.2, 2: 0}):
        drawn = parse_labels(weights, ANIMALS).at(index, seed=3)
        assert {0, 1, 2} - set(drawn.tolist()) == {
            item for item, weight in weights.items() if not weight
        }


def test_a_weighted_label_depends_on_seed_and_index_alone() -> None:
    policy = parse_labels({"cat": 1, "dog": 1}, ANIMALS)
    whole = policy.at(INDEX, seed=5)
    assert np.array_equal(policy.at(INDEX[::-7], seed=5), whole[::-7])
    assert not np.array_equal(policy.at(INDEX, seed=6), whole)


def test_a_model_without_classes_gives_unknown() -> None:
    assert parse_labels("balanced", UNLABELLED).at(INDEX[:3], seed=0).tolist() == [-1, -1, -1]


def test_a_policy_stays_what_it_is() -> None:
    policy = parse_labels("balanced", ANIMALS)
    assert parse_labels(policy, ANIMALS) is policy


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("emus", "There is no class 'emus'; there are 0..2: cat, dog, emu. Did you mean 'emu'?"),
        (3, "There is no class 3; there are 0..2: cat, dog, emu."),
        (True, "There is no class True; there are 0..2: cat, dog, emu."),
        ([0, -1], "There is no class -1; there are 0..2: cat, dog, emu."),
        ([], "labels is empty. Give at least one class, or 'balanced'."),
        ({}, "The class weights are {}; they must be at least 0, with a finite sum above 0."),
        (
            {"cat": 0},
            "The class weights are {'cat': 0}; they must be at least 0, with a finite sum above 0.",
        ),
        (
            {"cat": float("nan")},
            "The class weights are {'cat': nan}; they must be at least 0, with a finite sum above "
            "0.",
        ),
    ],
)
def test_labels_that_cannot_be_used(labels: object, message: str) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        parse_labels(labels, ANIMALS)
    assert str(caught.value) == message


def test_classes_of_a_model_without_them() -> None:
    with pytest.raises(VAEAugmentError) as caught:
        parse_labels(3, UNLABELLED)
    assert (
        str(caught.value)
        == "labels=3 was asked for, but this model does not know classes. Leave labels out."
    )


def mixture(dim: int, components: int) -> Latents:
    rng = np.random.default_rng(0)
    shape = (3, components, dim)
    means, scales = (
        rng.standard_normal(size).astype(np.float32) for size in (shape, (*shape, dim))
    )
    bank = np.zeros((0, dim), np.float32)
    weights = np.full((3, components), 1 / components, np.float32)
    return Latents(weights, means, scales, bank, bank, np.zeros(0, np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 2, 7, 20, 129])
def test_latents_are_the_same_to_the_byte_in_parts_of_any_size(
    dim: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, rng = mixture(dim, components=4), np.random.default_rng(1)
    labels, choice, noise = (
        rng.integers(0, 3, 50),
        rng.random(50).astype(dtype),
        rng.standard_normal((50, dim)),
    )
    noise = noise.astype(dtype)
    component = np.minimum(choice * 4, 3).astype(int)
    products = latents.scales[labels, component] * noise[:, None, :]
    whole = (latents.means[labels, component] + products.sum(axis=2)).astype(np.float32)
    for size in (1, 3 * dim**2, 1 << 20):
        monkeypatch.setattr("vae_augment.model.sampling._PRODUCTS_PER_STEP", size)
        assert draw_latents(latents, labels, choice, noise).tobytes() == whole.tobytes()


def test_drawing_large_latents_takes_little_memory() -> None:
    latents, labels = mixture(512, components=1), np.zeros(128, np.int64)
    noise = np.random.default_rng(0).standard_normal((128, 512))
    tracemalloc.start()
    draw_latents(latents, labels, np.full(128, 0.5), noise)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6  # it was 700e6
