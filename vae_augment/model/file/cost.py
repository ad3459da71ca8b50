"""The memory and arithmetic that a graph needs, computed before anything runs.

A few allowed operators in a small file can need any amount: two vectors broadcast to a matrix, a
tensor concatenated with itself thirty times. Shapes are therefore inferred node by node, each
checked before the next, at several batch sizes, from which `batch_linearity` concludes that they
are harmless at any other.
"""

import math
import operator
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from ...errors import ModelFormatError, UnsafeModelError
from .allowed import ALLOWED_OPS, ELEMENT_TYPES
from .batch_linearity import BATCHES, check_batch_linearity

MAX_TENSOR = 1 << 24  # elements of one tensor at batch 2
MAX_TOTAL = 1 << 26  # of all tensors together
MAX_WORK = 1 << 33  # multiplications at batch 2
MAX_CONSTANT = 1024  # elements of a tensor that may hold a shape
_SLOW = 8  # how much slower an untuned loop is than a float32 matrix product

# Integers that are not shapes: labels and quantized weights. They may be moved, compared and added,
# but not divided or multiplied: a division by 0, or of the lowest integer by -1, ends the process.
_INTEGER_OPS = frozenset(
    "Add Cast Clip Concat DequantizeLinear Equal Expand Flatten Gather Identity Max Min "
    "QuantizeLinear Reshape Shape Slice Split Squeeze Sub Tile Transpose Unsqueeze".split(" ")
)
_EXACT: dict[str, Any] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Cast": operator.pos,
}
_NOT_INTEGERS = {getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "DOUBLE", "BOOL")}
# The operators that compute shapes from shapes, which code such as x.shape[0] turns into.
_SHAPE_OPS = frozenset(
    "Add Cast Concat Constant Div Equal Gather Identity Mul Neg Reshape Slice Split Squeeze Sub "
    "Unsqueeze".split(" ")
)
# Their loops look at a first number or pixel, which an empty tensor has not.
_NEED_NUMBERS = frozenset(
    "Einsum Expand GridSample LogSoftmax ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMin "
    "ReduceProd ReduceSumSquare Tile".split(" ")
)
# Operators that onnx infers since 1.21, and older ones with the same inference.
_LIKE = {"GreaterOrEqual": "Greater", "LessOrEqual": "Less"}
_EINSUM = re.compile(rb"[A-Za-z]{1,8}(,[A-Za-z]{1,8})?->[A-Za-z]{0,8}")
# How often a kernel holds its inputs and results, besides the results themselves: Where keeps both
# of its choices, Einsum transposes, Expand remembers where each number goes.
_COPIES = {"Where": 2, "Einsum": 3, "Expand": 3}


def check_cost(model: onnx.ModelProto) -> None:
    """Refuse a model that needs too much memory or time.

    Raises:
        UnsafeModelError: it needs too much, how much cannot be known before it runs, or a division
            could end the process.
        ModelFormatError: names are used twice or before they exist, or shapes do not fit together.
    """
    walks: list[_Walk] = []
    for batch in BATCHES:
        walks.append(_Walk(model, batch))
        walks[-1].run()
        check_batch_linearity(
            model.graph, [walk.dims for walk in walks], [walk.constants for walk in walks]
        )


def check_foreign_cost(model: onnx.ModelProto, row: Sequence[int]) -> None:
    """The same for a graph from elsewhere.

    Its only input has the shape `row` after the batch axis.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    kind = graph.input[0].type.tensor_type
    graph.input[0].type.CopyFrom(_tensor_type(kind.elem_type, [BATCHES[0], *row]))
    del graph.output[:], graph.value_info[:]  # they declare what they like
    check_cost(model)


class _Walk:
    """One pass through the graph at a given batch size."""

    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self.model = model
        self.graph = model.graph
        self.batch = batch
        self.opset = model.opset_import[0].version
        self.types: dict[str, onnx.TypeProto] = {}
        self.constants: dict[str, onnx.TensorProto] = {}
        self.elements: dict[str, int] = {}
        self.total = 0
        self.work = 0

    @property
    def dims(self) -> dict[str, list[int]]:
        """The shape of every tensor."""
        return {name: _dims(kind) for name, kind in self.types.items()}

    def run(self) -> None:
        """Follow every node."""
        for value in self.graph.input:
            self._add_input(value)
        for tensor in self.graph.initializer:
            self._add_constant(tensor)
        for node in self.graph.node:
            self._add_node(node)
        for value in (*self.graph.output, *self.graph.value_info):
            self._check_declared(value)

    def _name(self, name: str) -> str:
        if not name or name in self.types:
            raise ModelFormatError(
                f"The name {name[:100]!r} is given to more than one tensor, or is empty."
            )
        return name

    def _add_input(self, value: onnx.ValueInfoProto) -> None:
        dims = [self.batch, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        self.types[self._name(value.name)] = _tensor_type(value.type.tensor_type.elem_type, dims)

    def _add_constant(self, tensor: onnx.TensorProto) -> None:
        self.types[self._name(tensor.name)] = _tensor_type(tensor.data_type, list(tensor.dims))
        if math.prod(tensor.dims) <= MAX_CONSTANT:
            self.constants[tensor.name] = tensor

    def _add_node(self, node: onnx.NodeProto) -> None:
        missing = [name for name in node.input if name and name not in self.types]
        if missing:
            raise ModelFormatError(
                f"{node.op_type} takes {missing[0][:100]!r}, which nothing before it makes."
            )
        if node.op_type in ("Expand", "Tile"):
            self._check_copies(node)
        inferred = self._infer_einsum(node) if node.op_type == "Einsum" else self._infer(node)
        if node.op_type in ALLOWED_OPS:
            self._check_integers(node)
        if node.op_type in _NEED_NUMBERS:
            self._check_not_empty(node)
        for name in node.output:
            if name not in inferred:
                raise UnsafeModelError(
                    f"The size of what {node.op_type} makes cannot be known before it runs."
                )
            self.types[self._name(name)] = inferred[name]
            self.elements[name] = self._count(node, inferred[name])
            self.total += self.elements[name]
        self._spend(node)
        self._keep_shape(node)

    def _check_integers(self, node: onnx.NodeProto) -> None:
        integers = [
            name for name in node.input if name and self._element(name) not in _NOT_INTEGERS
        ]
        are_shapes = all(name in self.constants for name in integers)
        computes = node.input[:1] == integers[:1] and node.op_type not in _SHAPE_OPS
        if node.op_type not in _INTEGER_OPS and integers and (computes or not are_shapes):
            raise UnsafeModelError(
                f"{node.op_type} computes with integers; only shapes may be computed that way."
            )
        if node.op_type == "Div" and integers:
            dividend, divisor = (
                onnx.numpy_helper.to_array(self.constants[name]) for name in node.input
            )
            if (dividend < 0).any() or (divisor <= 0).any():
                raise UnsafeModelError(
                    "Div divides negative integers, or by an integer below 1; it could crash."
                )

    def _check_copies(self, node: onnx.NodeProto) -> None:
        """Counts of Expand and Tile must be known, and positive: onnxruntime trusts them."""
        tensor = self.constants.get(node.input[1]) if len(node.input) == 2 else None
        if tensor is None or tensor.data_type != onnx.TensorProto.INT64:
            raise UnsafeModelError(
                f"The size of what {node.op_type} makes cannot be known before it runs."
            )
        counts = onnx.numpy_helper.to_array(tensor)
        if counts.ndim != 1 or (counts < 1).any() or (counts > self._scaled(MAX_TENSOR)).any():
            raise UnsafeModelError(
                f"{node.op_type} makes copies by {counts.flatten()[:8].tolist()}, which is out of "
                "bounds."
            )

    def _check_not_empty(self, node: onnx.NodeProto) -> None:
        if any(0 in _dims(self.types[name]) for name in node.input if name):
            raise UnsafeModelError(
                f"{node.op_type} takes images without pixels, or another empty tensor; onnxruntime "
                "could read beside it."
            )

    def _einsum_sizes(self, node: onnx.NodeProto) -> tuple[dict[str, int], str]:
        """The size of each letter, and the letters of the result."""
        given = [item.s for item in node.attribute if item.name == "equation"]
        equation = given[0].replace(b" ", b"") if len(given) == 1 else b""
        fits = _EINSUM.fullmatch(equation) is not None
        left, _, result = equation.decode("ascii", "replace").partition("->")
        terms = left.split(",")
        fits &= len(terms) == len(node.input) and len(set(result)) == len(result)
        sizes: dict[str, int] = {}
        for term, name in zip(terms, node.input, strict=False):
            dims = _dims(self.types[name])
            fits &= len(dims) == len(term) == len(set(term))
            for letter, size in zip(term, dims, strict=False):
                fits &= sizes.setdefault(letter, size) == size
        if not fits or not set(result) <= sizes.keys():
            raise UnsafeModelError(
                f"Einsum has the equation {equation[:40]!r}; allowed are one or two tensors, each "
                "letter at most once in each, of the same size in both, as in 'bij,bjk->bik'."
            )
        return sizes, result

    def _infer_einsum(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        """Without onnx, which does not infer it before 1.21."""
        sizes, result = self._einsum_sizes(node)
        dims = [sizes[letter] for letter in result]
        return {name: _tensor_type(self._element(node.input[0]), dims) for name in node.output}

    def _element(self, name: str) -> int:
        return int(self.types[name].tensor_type.elem_type)

    def _check_declared(self, value: onnx.ValueInfoProto) -> None:
        declared = [self.batch, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        if value.name not in self.elements or _dims(self.types[value.name]) != declared:
            made = _dims(self.types[value.name])[:8] if value.name in self.elements else None
            raise ModelFormatError(
                f"{value.name} is made with the shape {made}, but declared as {declared}."
            )

    def _infer(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        names = {name for name in node.input if name}
        try:
            return onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(_LIKE.get(node.op_type, node.op_type), self.opset, ""),
                node,
                {name: self.types[name] for name in names},
                {name: self.constants[name] for name in names & self.constants.keys()},
                opset_imports=list(self.model.opset_import),
                ir_version=self.model.ir_version,
            )
        # onnx raises many types, some from C++; all mean that the node is not well formed.
        except Exception as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
            raise ModelFormatError(
                f"A node of type {node.op_type} is not well formed: {reason!r}"
            ) from None

    def _count(self, node: onnx.NodeProto, kind: onnx.TypeProto) -> int:
        shape = kind.tensor_type.shape
        if not kind.tensor_type.HasField("shape") or not all(
            dim.HasField("dim_value") for dim in shape.dim
        ):
            raise UnsafeModelError(
                f"The size of what {node.op_type} makes cannot be known before it runs."
            )
        if kind.tensor_type.elem_type not in ELEMENT_TYPES:
            raise UnsafeModelError(f"{node.op_type} makes a tensor of a type that is not allowed.")
        dims = _dims(kind)
        elements = math.prod(dims)
        if min(dims, default=0) < 0 or max([*dims, elements]) > self._scaled(MAX_TENSOR):
            raise UnsafeModelError(
                f"{node.op_type} makes a tensor of the shape {dims[:8]} from a batch of "
                f"{self.batch}: too large."
            )
        return elements

    def _spend(self, node: onnx.NodeProto) -> None:
        self.work += self._work(node)
        memory = self.total + self._working_memory(node)
        if memory > self._scaled(MAX_TOTAL) or self.work > self._scaled(MAX_WORK):
            raise UnsafeModelError(
                f"Running it on {self.batch} images takes more than {self._scaled(MAX_TOTAL):.1e} "
                f"numbers in memory or {self._scaled(MAX_WORK):.1e} multiplications."
            )

    def _working_memory(self, node: onnx.NodeProto) -> int:
        """Numbers that the kernel holds while it runs, besides its results.

        Copies, or the columns of a convolution.
        """
        taken, made = (
            [_dims(self.types[name]) for name in names if name]
            for names in (node.input, node.output)
        )
        if node.op_type not in ("Conv", "ConvTranspose"):
            return _COPIES.get(node.op_type, 1) * sum(map(math.prod, (*taken, *made)))
        pixels = math.prod((made if node.op_type == "Conv" else taken)[0][2:])
        return math.prod(taken[1][1:]) * pixels  # the kernel handles one image after the other

    def _work(self, node: onnx.NodeProto) -> int:
        made = sum(self.elements[name] for name in node.output)
        dims = [_dims(self.types[name]) for name in node.input if name]
        taken = sum(map(math.prod, dims))
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type.endswith("Pool"):
            if "kernel_shape" not in attributes:
                return taken
            return made * math.prod(attributes["kernel_shape"].ints) * _SLOW
        if node.op_type == "Einsum":
            return _SLOW * math.prod(self._einsum_sizes(node)[0].values())
        if node.op_type not in ("Gemm", "MatMul", "Conv", "ConvTranspose") or len(dims) < 2:
            return made + taken
        weight = 1 if self._element(node.input[0]) == 1 else _SLOW
        if node.op_type in ("Conv", "ConvTranspose"):
            pixels = made if node.op_type == "Conv" else math.prod(dims[0])
            return weight * math.prod(dims[1][1:]) * pixels
        transposed = "transA" in attributes and attributes["transA"].i
        return weight * made * (dims[0] or [1])[0 if transposed else -1]

    def _keep_shape(self, node: onnx.NodeProto) -> None:
        """Remember the values of small tensors that may be shapes.

        Inferring a later Reshape needs them.
        """
        if any(self.elements[name] > MAX_CONSTANT for name in node.output):
            return
        if node.op_type == "Shape":
            bounds = {attribute.name: attribute.i for attribute in node.attribute}
            dims = _dims(self.types[node.input[0]])[bounds.get("start", 0) : bounds.get("end")]
            values: list[Any] = [np.asarray(dims, np.int64)]
        elif node.op_type in _SHAPE_OPS and all(
            name in self.constants for name in node.input if name
        ):
            values = self._evaluate(node)
        else:
            return
        for name, value in zip(node.output, values, strict=True):
            self.constants[name] = onnx.numpy_helper.from_array(value, name)

    def _evaluate(self, node: onnx.NodeProto) -> list[Any]:
        import onnx.reference  # slow to import, and few models need it

        feeds = {
            name: onnx.numpy_helper.to_array(self.constants[name]) for name in node.input if name
        }
        try:
            with np.errstate(all="ignore"):
                evaluator = onnx.reference.ReferenceEvaluator(node, opsets={"": self.opset})
                results = evaluator.run(None, feeds)
        except Exception as error:
            raise ModelFormatError(
                f"A node of type {node.op_type} is not well formed: {str(error)[:200]!r}"
            ) from None
        arrays = [np.asarray(result) for result in results]
        if node.op_type in _EXACT and arrays[0].dtype.kind in "iu":
            exact = _EXACT[node.op_type](*(_whole(feeds[name]) for name in node.input))
            if np.any(exact != arrays[0]):
                raise UnsafeModelError(
                    f"{node.op_type} makes integers that do not fit into their type."
                )
        return arrays

    def _scaled(self, limit: int) -> int:
        return limit * max(self.batch, BATCHES[0]) // BATCHES[0]


def _whole(array: Any) -> Any:
    """As Python's integers, which do not overflow."""
    return (np.trunc(array) if array.dtype.kind == "f" else array).astype(object)


def _tensor_type(element: int, dims: list[int]) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(element, dims)


def _dims(kind: onnx.TypeProto) -> list[int]:
    return [dim.dim_value for dim in kind.tensor_type.shape.dim]
