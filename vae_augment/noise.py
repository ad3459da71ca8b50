"""Counter-based random numbers: row i depends on (seed, stream, epoch, i) alone.

The generator is Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
2011). It has no state, so batch size, worker count, order and rank cannot change a row.
"""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .arguments import check_epoch, check_seed

# 32-bit words in the lower halves; the upper halves take the carry of products
Words = NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10


class Stream(IntEnum):
    """What a number is for. Numbers of two streams are independent, whatever their indices."""

    LATENT = 0
    COMPONENT = 1
    LABEL = 2
    MIXING = 3
    AUGMENT = 4
    AUGMENT_NOISE = 5


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[int, int]
) -> tuple[Words, Words, Words, Words]:
    """Four counter words and two key words -> four random 32-bit words, elementwise."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0 = _MULTIPLIERS[0] * c0
        p1 = _MULTIPLIERS[1] * c2
        # In place, because memory is the limit: this halves the time.
        c0 = p1 >> _HALF
        c2 = p0 >> _HALF
        c0 ^= c1
        c0 ^= np.uint64(k0)
        c2 ^= c3
        c2 ^= np.uint64(k1)
        p1 &= _MASK
        p0 &= _MASK
        c1 = p1
        c3 = p0
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniforms(
    seed: int, stream: Stream, epoch: int, index: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    """Uniform numbers in (0, 1), float64 [len(index), width].

    `InputError` for a seed or epoch out of range.
    """
    return np.ascontiguousarray(_uniform_columns(seed, stream, epoch, index, width).T)


def normals(
    seed: int, stream: Stream, epoch: int, index: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    """Standard normal numbers, float64 [len(index), width], by Box and Muller (1958).

    Errors are those of `uniforms`. Cast them to float32 only at the end: NumPy's float32 logarithm
    differs between CPUs in its last bit, whereas the differences of the float64 one vanish in the
    cast.
    """
    pairs = math.ceil(width / 2)
    u = _uniform_columns(seed, stream, epoch, index, 2 * pairs)
    radius = np.sqrt(-2.0 * np.log(u[:pairs]))
    angle = 2.0 * np.pi * u[pairs:]
    columns = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.ascontiguousarray(columns[:width].T)


def _uniform_columns(
    seed: int, stream: Stream, epoch: int, index: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    """`uniforms` transposed: NumPy is faster when the long axis is the last."""
    seed = check_seed(seed)
    epoch = check_epoch(epoch)
    rows = np.asarray(index).astype(np.uint64)[None, :]
    blocks = np.arange(math.ceil(width / 4), dtype=np.uint64)[:, None]
    purpose = np.uint64(epoch << 3 | int(stream))
    shape = np.broadcast_shapes(rows.shape, blocks.shape)
    counter = (blocks, rows & _MASK, rows >> _HALF, purpose)
    words = philox4x32(
        tuple(np.broadcast_to(word, shape) for word in counter),  # type: ignore[arg-type]
        (seed & 0xFFFFFFFF, seed >> 32),
    )
    columns = np.stack(words, axis=1).reshape(4 * blocks.size, -1)[:width].astype(np.float64)
    columns += 0.5
    columns *= 2.0**-32
    return columns
