"""The memory and arithmetic that a graph needs, computed before anything runs.

A few allowed operators in a small file can need any amount: two vectors broadcast to a matrix, a tensor concatenated
with itself thirty times. Shapes are therefore inferred node by node, each checked before the next, at two batch sizes:
nothing may grow faster than the batch.
"""

import math
from typing import Any

import numpy as np
import onnx

from ..errors import ModelFormatError, UnsafeModelError

BATCHES = (2, 5)
MAX_TENSOR = 1 << 24  # elements of one tensor at batch 2
MAX_TOTAL = 1 << 26  # of all tensors together
MAX_WORK = 1 << 33  # multiplications at batch 2
MAX_CONSTANT = 1024  # elements of a tensor that may hold a shape
_SLOW = 8  # how much slower an untuned loop is than a float32 matrix product

# The operators that compute shapes from shapes, which code such as x.shape[0] turns into.
_SHAPE_OPS = frozenset(
    "Add Cast Concat Constant Div Equal Gather Identity Mul Neg Reshape Slice Split Squeeze Sub Unsqueeze".split(" ")
)


def check_cost(model: onnx.ModelProto) -> None:
    """Refuse a model that needs too much memory or time.

    Raises:
        UnsafeModelError: it needs too much, or how much cannot be known before it runs.
        ModelFormatError: names are used twice or before they exist, or shapes do not fit together.
    """
    few, many = (_Walk(model, batch).run() for batch in BATCHES)
    for name, elements in few.items():
        if many[name] * BATCHES[0] > elements * BATCHES[1]:
            raise UnsafeModelError(f"The size of the tensor {name[:100]!r} grows faster than the batch.")


class _Walk:
    """One pass through the graph at a given batch size."""

    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self.model, self.graph, self.batch = model, model.graph, batch
        self.opset = model.opset_import[0].version
        self.types: dict[str, onnx.TypeProto] = {}
        self.constants: dict[str, onnx.TensorProto] = {}
        self.elements: dict[str, int] = {}
        self.total, self.work = 0, 0

    def run(self) -> dict[str, int]:
        """The number of elements of every tensor that a node computes."""
        for value in self.graph.input:
            self._add_input(value)
        for tensor in self.graph.initializer:
            self._add_constant(tensor)
        for node in self.graph.node:
            self._add_node(node)
        for value in (*self.graph.output, *self.graph.value_info):
            self._check_declared(value)
        return self.elements

    def _name(self, name: str) -> str:
        if not name or name in self.types:
            raise ModelFormatError(f"The name {name[:100]!r} is given to more than one tensor, or is empty.")
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
            raise ModelFormatError(f"{node.op_type} takes {missing[0][:100]!r}, which nothing before it makes.")
        inferred = self._infer(node)
        for name in filter(None, node.output):
            if name not in inferred:
                raise UnsafeModelError(f"The size of what {node.op_type} makes cannot be known before it runs.")
            self.types[self._name(name)] = inferred[name]
            self.elements[name] = self._count(node, inferred[name])
            self.total += self.elements[name]
        self._spend(node)
        self._keep_shape(node)

    def _check_declared(self, value: onnx.ValueInfoProto) -> None:
        declared = [self.batch, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        if value.name not in self.elements or _dims(self.types[value.name]) != declared:
            made = _dims(self.types[value.name])[:8] if value.name in self.elements else None
            raise ModelFormatError(f"{value.name} is made with the shape {made}, but declared as {declared}.")

    def _infer(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        names = {name for name in node.input if name}
        try:
            return onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, self.opset, ""),
                node,
                {name: self.types[name] for name in names},
                {name: self.constants[name] for name in names & self.constants.keys()},
                opset_imports=list(self.model.opset_import),
                ir_version=self.model.ir_version,
            )
        except Exception as error:  # onnx raises many types, some from C++; all mean that the node is not well formed
            reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
            raise ModelFormatError(f"A node of type {node.op_type} is not well formed: {reason!r}") from None

    def _count(self, node: onnx.NodeProto, kind: onnx.TypeProto) -> int:
        shape = kind.tensor_type.shape
        if not kind.tensor_type.HasField("shape") or not all(dim.HasField("dim_value") for dim in shape.dim):
            raise UnsafeModelError(f"The size of what {node.op_type} makes cannot be known before it runs.")
        dims = _dims(kind)
        elements = math.prod(dims)
        if min(dims, default=0) < 0 or max(dims, default=0) > MAX_TENSOR or elements > self._scaled(MAX_TENSOR):
            raise UnsafeModelError(
                f"{node.op_type} makes a tensor of the shape {dims[:8]} from a batch of {self.batch}: too large."
            )
        return elements

    def _spend(self, node: onnx.NodeProto) -> None:
        self.work += self._work(node)
        if self.total > self._scaled(MAX_TOTAL) or self.work > self._scaled(MAX_WORK):
            raise UnsafeModelError(
                f"Running it on {self.batch} images takes more than {self._scaled(MAX_TOTAL):.1e} numbers in memory "
                f"or {self._scaled(MAX_WORK):.1e} multiplications."
            )

    def _work(self, node: onnx.NodeProto) -> int:
        made = sum(self.elements[name] for name in node.output if name)
        dims = [_dims(self.types[name]) for name in node.input if name]
        taken = sum(map(math.prod, dims))
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type.endswith("Pool"):
            return made * math.prod(attributes["kernel_shape"].ints) * _SLOW if "kernel_shape" in attributes else taken
        if node.op_type not in ("Gemm", "MatMul", "Conv", "ConvTranspose") or len(dims) < 2:
            return made + taken
        element = self.types[node.input[0]].tensor_type.elem_type
        weight = 1 if element == 1 else _SLOW
        if node.op_type in ("Conv", "ConvTranspose"):
            return weight * math.prod(dims[1][1:]) * (made if node.op_type == "Conv" else math.prod(dims[0]))
        transposed = "transA" in attributes and attributes["transA"].i
        return weight * made * (dims[0] or [1])[0 if transposed else -1]

    def _keep_shape(self, node: onnx.NodeProto) -> None:
        """Remember the values of small tensors that may be shapes: inferring a later Reshape needs them."""
        if any(self.elements[name] > MAX_CONSTANT for name in node.output if name):
            return
        if node.op_type == "Shape":
            bounds = {attribute.name: attribute.i for attribute in node.attribute}
            dims = _dims(self.types[node.input[0]])[bounds.get("start", 0) : bounds.get("end")]
            values: list[Any] = [np.asarray(dims, np.int64)]
        elif node.op_type in _SHAPE_OPS and all(name in self.constants for name in node.input if name):
            values = self._evaluate(node)
        else:
            return
        for name, value in zip(node.output, values, strict=True):
            self.constants[name] = onnx.numpy_helper.from_array(value, name)

    def _evaluate(self, node: onnx.NodeProto) -> list[Any]:
        import onnx.reference  # slow to import, and few models need it

        feeds = {name: onnx.numpy_helper.to_array(self.constants[name]) for name in node.input if name}
        try:
            with np.errstate(all="ignore"):
                results = onnx.reference.ReferenceEvaluator(node, opsets={"": self.opset}).run(None, feeds)
        except Exception as error:
            raise ModelFormatError(f"A node of type {node.op_type} is not well formed: {str(error)[:200]!r}") from None
        return [np.asarray(result) for result in results]

    def _scaled(self, limit: int) -> int:
        return limit * self.batch // BATCHES[0]


def _tensor_type(element: int, dims: list[int]) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(element, dims)


def _dims(kind: onnx.TypeProto) -> list[int]:
    return [dim.dim_value for dim in kind.tensor_type.shape.dim]
