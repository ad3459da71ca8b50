"""What an .onnx file may contain: the operators, tensors, names and shapes of a VAE, no more.

onnxruntime has no list of allowed operators, resolves external data against the working directory
and expands nested functions without a useful limit. Every rule here is therefore applied before
onnxruntime sees the file.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from ...errors import ModelFormatError, UnsafeModelError
from ..spec import INNER, Spec, part_interface

MAX_NODES = 2_000
MAX_ELEMENTS = 1 << 26  # of one stored tensor
MAX_DIMENSIONS = 8
MAX_NAME = 512
MAX_INPUTS = 256  # of one node, and as many outputs
OPSETS = range(18, 25)
IR_VERSIONS = range(8, 14)

# What encoders and decoders need: no control flow, no random numbers, nothing that makes sizes out
# of what it computes. What keeps each group from crashing onnxruntime or from taking all memory:

# One result per place, from the numbers at that place. The result has the size of the inputs when
# they are broadcast, which `cost` limits. There is nothing to index; integers, of which a quotient
# can end the process, are refused by `cost` unless they are shapes.
_ELEMENTWISE = (
    "Abs Add And Cast Celu Clip Cos DequantizeLinear Div Elu Equal Erf Exp Gelu Greater "
    "GreaterOrEqual HardSigmoid HardSwish Identity LeakyRelu Less LessOrEqual Log Max Min Mish Mul "
    "Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu Selu Sigmoid Sign Sin Softplus Softsign "
    "Sqrt Sub Tanh Where"
)
# One loop of onnxruntime with another sum in it each; the result is no larger than the input, and
# `cost` knows the axes and refuses empty tensors where a loop would look at a first number.
_REDUCTIONS = (
    "LogSoftmax ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare Softmax"
)
_NORMALIZATIONS = "BatchNormalization GroupNormalization InstanceNormalization LayerNormalization"
# Their buffers and arithmetic are counted by `cost`. Einsum is allowed as the product of two
# tensors, each letter once in either, which is a matrix product between transpositions.
_PRODUCTS = (
    "AveragePool Conv ConvTranspose Einsum Gemm GlobalAveragePool GlobalMaxPool MatMul MaxPool"
)
# They move numbers and copy them. Sizes that they are given are numbers which `cost` knows before
# anything runs: it limits what they make, for every batch. Copies to less than one are refused.
_MOVES = (
    "Concat Constant DepthToSpace Expand Flatten Gather GridSample Pad Reshape Resize Shape Slice "
    "SpaceToDepth Split Squeeze Tile Transpose Unsqueeze"
)
ALLOWED_OPS = frozenset(
    f"{_ELEMENTWISE} {_REDUCTIONS} {_NORMALIZATIONS} {_PRODUCTS} {_MOVES}".split(" ")
)
# Shape inference and kernels divide by these attributes: a zero would end the process.
_POSITIVE = frozenset(
    ("blocksize", "dilations", "group", "kernel_shape", "num_groups", "num_outputs", "strides")
)
_LARGEST_ATTRIBUTE = 1 << 16
# The inputs that exporters leave out by an empty name. Kernels take other empty names for pointers:
# LayerNormalization reads from address 0.
_MAY_BE_EMPTY = {("Clip", 1), ("Pad", 2), ("Resize", 1), ("Resize", 2)}
# Other kinds of GridSample compute addresses from coordinates that may be infinite.
_GRID_SAMPLE = {"mode": [b"bilinear", b"linear"], "padding_mode": [b"zeros"]}
_TYPES = ("FLOAT", "FLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64", "BOOL")
ELEMENT_TYPES = frozenset(onnx.TensorProto.DataType.Value(name) for name in _TYPES)


def check_contents(
    model: onnx.ModelProto,
    allow_ops: frozenset[str] = frozenset(),
    opsets: range = OPSETS,
    ir_versions: range = IR_VERSIONS,
) -> None:
    """Apply the rules that do not depend on the spec.

    Args:
        allow_ops: operators that are allowed besides `ALLOWED_OPS`.
        opsets, ir_versions: those that can be read.

    Raises:
        UnsafeModelError: the file contains something that is not allowed.
        ModelFormatError: a version that cannot be read, or a damaged tensor.
    """
    _check_header(model, opsets, ir_versions)
    graph = model.graph
    _check_names(graph.name)
    if len(graph.node) > MAX_NODES:
        raise UnsafeModelError(f"It has {len(graph.node)} nodes; at most {MAX_NODES} are allowed.")
    if graph.sparse_initializer or graph.quantization_annotation:
        raise UnsafeModelError(
            "It holds sparse initializers or quantization annotations, which are not allowed."
        )
    for node in graph.node:
        _check_node(node, allow_ops)
    for tensor in graph.initializer:
        _check_tensor(tensor)


def check_interface(graph: onnx.GraphProto, spec: Spec) -> None:
    """Check that names, types and shapes are those of `spec`, and that the graph can be cut.

    `ModelFormatError` otherwise.
    """
    image = list(spec.image_shape)
    latent = [spec.latent_dim]
    names, _ = part_interface("whole", spec)
    shapes: dict[str, list[Any]] = {"image": image, "noise": latent, "strength": [], "label": []}
    _check_values("inputs", graph.input, {name: shapes[name] for name in names})
    _check_values("outputs", graph.output, {"augmented": image})
    _check_values("named tensors", graph.value_info, dict.fromkeys(INNER, latent))
    for part in ("encoder", "decoder"):
        _check_cut(graph, part, spec)


def _check_header(model: onnx.ModelProto, allowed_opsets: range, ir_versions: range) -> None:
    if model.ir_version not in ir_versions:
        raise ModelFormatError(
            f"IR version {model.ir_version} is outside {ir_versions[0]}..{ir_versions[-1]}."
        )
    opsets = [(entry.domain or "ai.onnx", entry.version) for entry in model.opset_import]
    if [domain for domain, _ in opsets] != ["ai.onnx"]:
        domains = [domain[:100] for domain, _ in opsets][:8]
        raise UnsafeModelError(
            f"It uses the operator domains {domains}; only ai.onnx, once, is allowed."
        )
    if opsets[0][1] not in allowed_opsets:
        raise ModelFormatError(
            f"Opset {opsets[0][1]} is outside {allowed_opsets[0]}..{allowed_opsets[-1]}."
        )
    if model.functions or model.training_info:
        raise UnsafeModelError(
            "It holds local functions or training information, which are not allowed."
        )


def _check_node(node: onnx.NodeProto, allow_ops: frozenset[str]) -> None:
    if node.domain not in ("", "ai.onnx") or node.op_type not in ALLOWED_OPS | allow_ops:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise UnsafeModelError(
            f"It uses the operator {name[:100]!r}, which is not on the list of allowed ones. "
            "If you trust the file's origin, pass allow_ops."
        )
    if max(len(node.input), len(node.output), len(node.attribute)) > MAX_INPUTS:
        raise UnsafeModelError(
            f"{node.op_type} has more than {MAX_INPUTS} inputs, outputs or attributes."
        )
    _check_names(
        node.name, *node.input, *node.output, *(attribute.name for attribute in node.attribute)
    )
    _check_left_out(node)
    for attribute in node.attribute:
        _check_attribute(node.op_type, attribute)
        # onnx's shape inference would abort
        if attribute.name == "num_outputs" and attribute.i != len(node.output):
            raise ModelFormatError(
                f"{node.op_type} has {len(node.output)} outputs and says it has {attribute.i}."
            )


def _check_names(*names: str | bytes) -> None:
    for name in names:
        # Protobuf gives text that is not UTF-8 as bytes; onnxruntime writes names to the terminal,
        # where an escape sequence is a command.
        if isinstance(name, bytes) or len(name) > MAX_NAME or not name.isprintable():
            raise ModelFormatError(
                f"The name {name[:40]!r} is not printable or has more than {MAX_NAME} characters."
            )


def _check_left_out(node: onnx.NodeProto) -> None:
    empty = [place for place, name in enumerate(node.input) if not name]
    wrong = [
        place
        for place in empty
        if (node.op_type, place) not in _MAY_BE_EMPTY or place == len(node.input) - 1
    ]
    if wrong or not all(node.output):
        kind = f"its input {wrong[0]}" if wrong else "an output"
        raise UnsafeModelError(
            f"{node.op_type} has {kind} left out by an empty name, which could crash onnxruntime."
        )


def _check_attribute(operator: str, attribute: onnx.AttributeProto) -> None:
    if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
        raise UnsafeModelError(
            f"Node {operator} holds a subgraph or a sparse tensor, which is not allowed."
        )
    if attribute.ref_attr_name or attribute.sparse_tensors or attribute.type_protos:
        raise UnsafeModelError(f"Node {operator} holds an attribute of a kind that is not allowed.")
    if operator == "GridSample" and attribute.s not in _GRID_SAMPLE.get(
        attribute.name, [attribute.s]
    ):
        raise UnsafeModelError(
            f"GridSample has {attribute.name} = {attribute.s[:40]!r}, which is not allowed."
        )
    numbers = [*attribute.ints, attribute.i]
    divides = attribute.name in _POSITIVE and min(attribute.ints or [attribute.i]) < 1
    # Constant and Shape may hold a huge number, which means "to the end" for Slice and Shape.
    is_large = max(map(abs, numbers)) > _LARGEST_ATTRIBUTE or len(numbers) > MAX_INPUTS
    if divides or (operator not in ("Constant", "Shape") and is_large):
        raise UnsafeModelError(
            f"{operator} has {attribute.name[:100]!r} = {numbers[:8]}, which is out of bounds."
        )
    for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
        _check_tensor(tensor)


def _check_tensor(tensor: onnx.TensorProto) -> None:
    _check_names(tensor.name)
    name = repr(tensor.name[:100])
    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise UnsafeModelError(
            f"Tensor {name} keeps its data outside the file, which is not allowed."
        )
    if tensor.data_type not in ELEMENT_TYPES or tensor.HasField("segment"):
        raise UnsafeModelError(
            f"Tensor {name} has element type {tensor.data_type}, which is not allowed."
        )
    dims = list(tensor.dims)
    if len(dims) > MAX_DIMENSIONS or min(dims, default=0) < 0 or math.prod(dims) > MAX_ELEMENTS:
        raise UnsafeModelError(f"Tensor {name} declares the shape {dims[:8]}.")
    _check_data(tensor, name, math.prod(dims))


def _check_data(tensor: onnx.TensorProto, name: str, elements: int) -> None:
    width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if tensor.HasField("raw_data") and len(tensor.raw_data) != elements * width:
        raise ModelFormatError(
            f"Tensor {name} holds {len(tensor.raw_data)} bytes; its shape takes {elements * width}."
        )
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise ModelFormatError(f"Tensor {name} cannot be read: {str(error)[:200]!r}") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelFormatError(f"Tensor {name} holds values that are not finite (NaN or infinity).")


def _check_values(
    kind: str, values: Iterable[onnx.ValueInfoProto], expected: dict[str, list[int]]
) -> None:
    values = list(values)
    if [value.name for value in values] != list(expected):
        raise ModelFormatError(
            f"Its {kind} are {[value.name[:40] for value in values][:8]}, expected "
            f"{list(expected)}."
        )
    for value in values:
        _check_value(value, expected[value.name])


def _check_value(value: onnx.ValueInfoProto, tail: list[int]) -> None:
    tensor = value.type.tensor_type
    _check_names(*(dim.dim_param for dim in tensor.shape.dim))
    dims = [
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or "?")
        for dim in tensor.shape.dim
    ]
    wanted = onnx.TensorProto.INT64 if value.name == "label" else onnx.TensorProto.FLOAT
    if tensor.elem_type != wanted:
        raise ModelFormatError(
            f"{value.name} has element type {tensor.elem_type}, expected {wanted}."
        )
    if not dims or dims[1:] != tail or isinstance(dims[0], int):
        raise ModelFormatError(
            f"{value.name} has the shape {str(dims[:8])[:200]}, expected a free batch axis "
            f"followed by {tail}. A fixed batch comes from an export without dynamic shapes."
        )


def _check_cut(graph: onnx.GraphProto, part: str, spec: Spec) -> None:
    inputs, outputs = part_interface(part, spec)
    reached = _reached(graph, inputs, outputs)
    stray = reached & {value.name for value in graph.input} - set(inputs)
    if stray or inputs[0] not in reached:
        raise ModelFormatError(
            f"It cannot be cut: {' and '.join(outputs)} must follow from {inputs[0]}, but "
            + (
                f"{sorted(stray)[0]} reaches them past it."
                if stray
                else f"{inputs[0]} does not reach them."
            )
        )


def _reached(graph: onnx.GraphProto, inputs: list[str], outputs: list[str]) -> set[str]:
    """The names of all tensors that `outputs` are computed from, going back as far as `inputs`."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [] if name in inputs or name not in makers else makers[name].input
    return found
