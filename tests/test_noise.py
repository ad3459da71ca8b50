import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from vae_augment import VAEAugmentError
from vae_augment.arguments import check_epoch, check_seed
from vae_augment.noise import Stream, normals, philox4x32, uniforms

# kat_vectors of Random123, the reference implementation of Salmon et al. (2011): counter, key,
# result
KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_vectors(counter: str, key: str, expected: str) -> None:
    result = philox4x32(
        tuple(np.array([word], np.uint64) for word in words(counter)), tuple(words(key))
    )
    assert [int(word[0]) for word in result] == words(expected)


def test_a_row_depends_on_its_index_alone() -> None:
    index = np.arange(100)
    whole = normals(7, Stream.LATENT, 2, index, 5)
    chosen = np.array([99, 3, 3, 50])
    assert np.array_equal(normals(7, Stream.LATENT, 2, chosen, 5), whole[chosen])


@pytest.mark.parametrize(
    "other",
    [
        (1, Stream.LATENT, 0, 5),
        (2**32, Stream.LATENT, 0, 5),
        (0, Stream.COMPONENT, 0, 5),
        (0, Stream.LATENT, 1, 5),
        (0, Stream.LATENT, 2**28, 5),
        (0, Stream.LATENT, 0, 6),
        (0, Stream.LATENT, 0, 2**32 + 5),
    ],
    ids=[
        "seed",
        "seed's upper word",
        "stream",
        "epoch",
        "late epoch",
        "index",
        "index's upper word",
    ],
)
def test_every_part_of_the_address_counts(other: tuple[int, Stream, int, int]) -> None:
    seed, stream, epoch, index = other
    first = uniforms(0, Stream.LATENT, 0, np.array([5]), 16)
    assert not np.isin(uniforms(seed, stream, epoch, np.array([index]), 16), first).any()


def test_numbers_follow_their_distributions() -> None:
    index = np.arange(20_000)
    assert kstest(uniforms(0, Stream.LATENT, 0, index, 5).ravel(), "uniform").pvalue > 1e-3
    drawn = normals(0, Stream.LATENT, 0, index, 5)
    assert kstest(drawn.ravel(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(drawn, rowvar=False) - np.eye(5)
    assert abs(correlation).max() < 0.03


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_any_width(width: int) -> None:
    drawn = normals(0, Stream.LATENT, 0, np.arange(3), width)
    assert drawn.shape == (3, width)
    assert drawn.dtype == np.float64
    assert len(np.unique(drawn)) == drawn.size


def test_no_rows() -> None:
    assert normals(0, Stream.LATENT, 0, np.arange(0), 5).shape == (0, 5)


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**29)])
def test_an_address_that_does_not_fit_is_refused(seed: int, epoch: int) -> None:
    with pytest.raises(VAEAugmentError, match=r"must lie in 0\.\.2\*\*"):
        uniforms(seed, Stream.LATENT, epoch, np.arange(1), 1)


def digest() -> str:
    drawn = normals(1, Stream.LATENT, 0, np.arange(20_000), 20).astype(np.float32)
    return hashlib.sha256(drawn.tobytes()).hexdigest()


@pytest.mark.parametrize("seed", [np.int64(5), np.uint8(5), torch.tensor(5), 5])
def test_any_type_of_integer_is_a_seed_and_an_epoch(seed: object) -> None:
    assert type(check_seed(seed)) is type(check_epoch(seed)) is int
    expected = normals(5, Stream.LATENT, 5, np.arange(3), 4)
    assert (normals(seed, Stream.LATENT, seed, np.arange(3), 4) == expected).all()


@pytest.mark.parametrize(
    "value", [2.0, 2.5, np.float64(2), True, np.bool_(True), torch.tensor(True), "1", None]
)
def test_what_is_no_integer_is_no_seed_and_no_epoch(value: object) -> None:
    for name, check in (("seed", check_seed), ("epoch", check_epoch)):
        with pytest.raises(VAEAugmentError) as caught:
            check(value)
        assert str(caught.value) == f"{name} is {value!r}; it must be an integer."


@pytest.mark.timeout(60)
def test_the_same_bytes_without_the_processors_vector_units() -> None:
    core = pytest.importorskip("numpy._core._multiarray_umath", reason="NumPy 1 has no such module")
    present = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    if not present:
        pytest.skip("NumPy dispatches to no vector unit on this machine")
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(present)}
    check = (
        "from numpy._core._multiarray_umath import __cpu_features__ as f; import sys; "
        "sys.path[:0] = ['tests', '.'];"
    )
    check += (
        f"assert not any(f[name] for name in {present!r}); import test_noise; "
        "print(test_noise.digest())"
    )
    process = subprocess.run(
        [sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == digest()
