"""Shapes must be linear in the batch, or a batch that nobody tried could need any memory.

Shapes are known at a few batch sizes only. Every size must be constant or a multiple of the batch,
and every number that a shape is computed from a line through all of them; one axis at most may
depend on the batch. The operators that round, compare or cut off, where a line through the known
points says nothing about the others, must leave the batch alone. What remains are sums, products
and quotients, of degree two at most where what they are computed from is linear: four points
decide. The last of them is the largest batch that is ever run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from ...errors import UnsafeModelError

MAX_BATCH = 1_048_583  # a prime, so that no constant in a shape divides it
BATCHES = (2, 5, 1, MAX_BATCH)
_CUTTING_OPS = frozenset(
    "AveragePool Conv ConvTranspose DepthToSpace MaxPool Pad Resize Slice SpaceToDepth Split".split(
        " "
    )
)
_RESIZE_SIZES = 3  # the input of Resize that is a shape

Shapes = Sequence[Mapping[str, list[int]]]
Constants = Sequence[Mapping[str, onnx.TensorProto]]


def check_batch_linearity(graph: onnx.GraphProto, shapes: Shapes, constants: Constants) -> None:
    """Raise `UnsafeModelError` unless all sizes are linear in the batch.

    Args:
        shapes: of every tensor by name, at the first len(shapes) of `BATCHES`.
        constants: the numbers that shapes are computed from, likewise.
    """
    for node in graph.node:
        for name in node.output:
            _check_shape(name, [dims[name] for dims in shapes])
            _check_numbers(name, [known.get(name) for known in constants])
        _check_steps(node, constants)
        if node.op_type in _CUTTING_OPS:
            _check_cutting(node, shapes, constants)


def _check_shape(name: str, dims: list[list[int]]) -> None:
    sizes = list(zip(*dims, strict=False))
    varying = [size for size in sizes if len(set(size)) > 1]
    is_linear = all(
        number * BATCHES[0] == size[0] * batch
        for size in varying
        for number, batch in zip(size, BATCHES, strict=False)
    )
    if len(set(map(len, dims))) > 1 or not is_linear:
        raise UnsafeModelError(
            f"The size of the tensor {name[:100]!r} is not a multiple of the batch: {dims}."
        )
    if len(varying) > 1:
        raise UnsafeModelError(
            f"The size of the tensor {name[:100]!r} grows faster than the batch."
        )


def _check_numbers(name: str, tensors: list[onnx.TensorProto | None]) -> None:
    known = [tensor for tensor in tensors if tensor is not None]
    if len(known) < 2 or len({tensor.SerializeToString() for tensor in known}) == 1:
        return
    # As Python's integers, which do not overflow
    first, second, *others = (onnx.numpy_helper.to_array(tensor).astype(object) for tensor in known)
    steps = BATCHES[1] - BATCHES[0]
    for batch, numbers in zip(BATCHES[2:], others, strict=False):
        if np.any((numbers - first) * steps != (second - first) * (batch - BATCHES[0])):
            raise UnsafeModelError(f"The shape {name[:100]!r} is not linear in the batch.")


def _check_steps(node: onnx.NodeProto, constants: Constants) -> None:
    """Refuse comparisons, roundings and table look-ups, which may jump between known batches."""
    varying = [place for place, name in enumerate(node.input) if name and _varies(name, constants)]
    kinds = {constants[0][name].data_type for name in node.output if name in constants[0]}
    looks_up = node.op_type in ("Div", "Gather") and 1 in varying
    if looks_up or (varying and not kinds <= {onnx.TensorProto.INT32, onnx.TensorProto.INT64}):
        raise UnsafeModelError(
            f"{node.op_type} makes a shape from the batch in a way that is not linear."
        )


def _check_cutting(node: onnx.NodeProto, shapes: Shapes, constants: Constants) -> None:
    before = list(zip(*(dims[node.input[0]] for dims in shapes), strict=False))
    for name in node.output:
        after = list(zip(*(dims[name] for dims in shapes), strict=False))
        kept = [
            size in after[axis : axis + 1] for axis, size in enumerate(before) if len(set(size)) > 1
        ]
        if not all(kept):
            raise UnsafeModelError(f"{node.op_type} changes an axis that depends on the batch.")
    for place, name in enumerate(node.input[1:], 1):
        is_size = node.op_type == "Resize" and place == _RESIZE_SIZES
        if name and not is_size and (_varies(name, shapes) or _varies(name, constants)):
            raise UnsafeModelError(f"{node.op_type} cuts by an amount that depends on the batch.")


def _varies(name: str, found: Sequence[Mapping[str, Any]]) -> bool:
    return any(entry.get(name) != found[0].get(name) for entry in found)
