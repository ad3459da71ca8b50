"""The memory that parsing a protobuf file needs, limited without parsing it.

An empty message takes two bytes in the file and a hundred in memory, so 64 MB of them would take
gigabytes. Only the raw bytes of tensors and metadata values may be long; everything else, the
structure, has a small budget.
"""

from collections.abc import Iterator

from ...errors import ModelFormatError, UnsafeModelError

MAX_STRUCTURE_BYTES = 1 << 20
_LEAST = 32  # bytes that the smallest field counts as, because even an empty one takes memory
_VARINT = 0
_FIXED64 = 1
_BYTES = 2
_FIXED32 = 5

# Where long values may be, as field numbers of onnx.proto: graph.initializer.raw_data,
# graph.initializer.float_data (which takes no more memory than in the file when packed) and
# metadata_props.value.
_PAYLOADS = {(7, 5, 9), (7, 5, 4), (14, 2)}
_PARENTS = {path[:depth] for path in _PAYLOADS for depth in range(1, len(path))}


def check_structure(content: bytes, most: int = MAX_STRUCTURE_BYTES) -> None:
    """Check that the structure is no larger than a VAE needs.

    Raises:
        UnsafeModelError: it is larger.
        ModelFormatError: the content is no protobuf.
    """
    if _spend(content, 0, len(content), (), most) < 0:
        raise UnsafeModelError(
            f"More than {most} bytes are neither weights nor metadata; to parse them could take "
            "gigabytes."
        )


def _spend(content: bytes, start: int, end: int, path: tuple[int, ...], budget: int) -> int:
    """Subtract the structure in content[start:end] from the budget and return what remains."""
    position = start
    for number, begin, finish in _fields(content, start, end):
        inner = (*path, number)
        if inner in _PAYLOADS:
            budget -= begin - position
        elif inner in _PARENTS:
            budget = _spend(content, begin, finish, inner, budget - (begin - position))
        else:
            budget -= max(_LEAST, finish - position)
        if budget < 0:
            break
        position = finish
    return budget


def _fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each field's number and where its value begins and ends."""
    while position < end:
        key, position = _varint(content, position, end)
        number = key >> 3
        kind = key & 7
        if kind == _BYTES:
            size, position = _varint(content, position, end)
        elif kind == _VARINT:
            size = _varint(content, position, end)[1] - position
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ModelFormatError(
                "It is not a readable ONNX file (unknown wire type). Copy or export it again."
            )
        if size > end - position:
            raise ModelFormatError(
                "It is not a readable ONNX file (it ends early). Copy or export it again."
            )
        yield number, position, position + size
        position += size


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ModelFormatError(
        "It is not a readable ONNX file (a damaged number). Copy or export it again."
    )
