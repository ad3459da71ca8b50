"""From a PyTorch module to an ONNX graph. The only place that calls an exporter of PyTorch.

There are two of them. The one named dynamo, which follows the module's Python code, is taken where
torch has it in full; it needs the package onnxscript. Before torch 2.7 it cannot name the batch
axis, and the older one, TorchScript's, is taken.
"""

import contextlib
import inspect
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..errors import ExportError

OPSET = 18
_MAX_FOLDED = 1024  # numbers of a constant that may be computed ahead: shapes, not weights
SUPPORTED = "docs/export.md lists the layers that can be exported, and what replaces others."
_BRANCH = (
    "The model's control flow depends on its data (an `if` or a loop on a tensor's values), which "
    "a graph cannot hold. Use torch.where, or leave the branch out."
)
_NEWER = "with torch 2.7 or newer, and onnxscript, more modules can be exported."
_NO_ONNX = re.compile(r"No ONNX function found for .*op='([\w.]+)'")
BAKED = (
    "The model has a batch size baked in: a constant or a view with a fixed first dimension. Use "
    "x.shape[0] or -1 there."
)
_CAUSES = {
    "conflicts between user-specified ranges and inferred": BAKED,
    "only 4D query, key, and value": (
        "scaled_dot_product_attention is called without an axis of heads. Give it [B, 1, N, C]: "
        "q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), and .squeeze(1) the result."
    ),
}


def trace(
    module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str]
) -> onnx.ModelProto:
    """The ONNX model of a module in evaluation mode, whose first axes are all the batch.

    Args:
        module: takes tensors and returns as many as there are `outputs`.
        example: a batch of two for each input, by its name, in order.
        outputs: the names of the results.

    Raises:
        ExportError: PyTorch cannot follow the module; the message names the cause.
    """
    follow = _by_dynamo if _has_dynamo() else _by_torchscript
    with quiet():
        model = follow(module, example, [f"output.{name}" for name in outputs])
    # The exporter itself calls the result of x.mean() "mean", so that name is taken away before it
    # is given.
    aside = {name: f"inner.{name}" for name in outputs}
    rename(model.graph, aside | {f"output.{name}": name for name in outputs})
    _replace_constants_of_shape(model.graph)
    return model


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors that nodes compute, in place."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the exporter prints, warns and logs.

    Sixty lines of graph for one unsupported statement.
    """
    held = io.StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(held),
            contextlib.redirect_stderr(held),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _has_dynamo() -> bool:
    # Since 2.7, when axes got names, its graphs are optimised unless one asks for the contrary.
    parameters = inspect.signature(torch.onnx.export).parameters
    return "optimize" in parameters and parameters["optimize"].default is True


def _by_dynamo(
    module: nn.Module, example: Mapping[str, Tensor], outputs: list[str]
) -> onnx.ModelProto:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ExportError(
            f"To export a module, torch {torch.__version__} needs the package onnxscript. Install "
            "it: pip install onnxscript"
        ) from None
    try:
        program: Any = torch.onnx.export(
            module,
            tuple(example.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=outputs,
            # Strings, because Dim("batch") is silently replaced by a fixed batch if the model has
            # one baked in.
            dynamic_shapes=tuple({0: "batch"} for _ in example),
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(_cause(error)) from error
    model: onnx.ModelProto = program.model_proto
    return model


def _by_torchscript(
    module: nn.Module, example: Mapping[str, Tensor], outputs: list[str]
) -> onnx.ModelProto:
    content: Any = io.BytesIO()  # which newer type annotations leave out
    newer: dict[str, Any] = {"dynamo": False} if _has_dynamo() else {}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.onnx.export(
                module,
                tuple(example.values()),
                content,
                opset_version=OPSET,
                input_names=list(example),
                output_names=outputs,
                dynamic_axes={name: {0: "batch"} for name in (*example, *outputs)},
                **newer,
            )
    except Exception as error:  # of many kinds, without a base of their own
        cause = _cause(error).partition(" Please feel free")[0]
        raise ExportError(f"{cause} Besides, {_NEWER}") from error
    for warning in caught:
        _check_branch(warning)
    model = onnx.load_from_string(content.getvalue())
    _fold_constants(model.graph)
    _give_expand_plain_sizes(model.graph)
    _drop_unused(model.graph)
    return model


def _check_branch(warning: warnings.WarningMessage) -> None:
    """TorchScript's exporter keeps the branch that the example takes, and only warns of it."""
    is_ours = Path(torch.__file__).parent in Path(warning.filename).parents
    if "to a Python boolean" in str(warning.message) and not is_ours:
        place = f"{Path(warning.filename).name}, line {warning.lineno}"
        raise ExportError(f"{_BRANCH} It is in {place}, perhaps an assert on sizes; {_NEWER}")


def _fold_constants(graph: onnx.GraphProto) -> None:
    """Compute what depends on small constants alone, which TorchScript's exporter leaves undone."""
    constants = {tensor.name: tensor for tensor in graph.initializer if _is_small(tensor)}
    nodes = []
    for node in graph.node:
        value = _value(node, constants)
        if value is not None and _is_small(value):
            constants[value.name] = value
            node = helper.make_node("Constant", [], [value.name], value=value)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _value(node: NodeProto, constants: Mapping[str, TensorProto]) -> TensorProto | None:
    """What a node with one output makes of constants; None if it takes anything else."""
    if len(node.output) != 1 or any(name and name not in constants for name in node.input):
        return None
    from onnx.reference import ReferenceEvaluator  # slow to import

    feeds = {name: numpy_helper.to_array(constants[name]) for name in node.input if name}
    try:
        (result,) = ReferenceEvaluator(node, opsets={"": OPSET}).run(None, feeds)
    except Exception:  # onnx does not have every operator, and raises many types
        return None
    return numpy_helper.from_array(np.asarray(result), node.output[0])


def _give_expand_plain_sizes(graph: onnx.GraphProto) -> None:
    """Give Expand a 1 where a size stays as it is, for which TorchScript's exporter compares all.

    The comparison with -1 takes in the size of the batch, which the reader of a file cannot follow.
    """
    makers = {name: node for node in graph.node for name in node.output}
    nodes = []
    for node in graph.node:
        if node.op_type == "Expand":
            nodes += _plain_sizes(node, makers)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _plain_sizes(expand: NodeProto, makers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """The nodes that make the sizes for `expand`, which then takes them."""
    choice = makers.get(expand.input[1])
    sizes = makers.get(choice.input[2]) if choice and choice.op_type == "Where" else None
    if sizes and sizes.op_type == "Reshape":  # to one axis, which it has already
        sizes = makers.get(sizes.input[0])
    if sizes is None or sizes.op_type != "Concat":
        return []
    name = f"{expand.output[0]}.sizes"
    one = helper.make_node("Constant", [], [f"{name}.one"], value_ints=[1])
    taken = [one.output[0] if _is_minus_one(makers.get(size)) else size for size in sizes.input]
    expand.input[1] = name
    return [one, helper.make_node("Concat", taken, [name], axis=0)]


def _is_minus_one(maker: NodeProto | None) -> bool:
    if maker is None or maker.op_type != "Constant":
        return False
    return bool(np.array_equal(numpy_helper.to_array(maker.attribute[0].t), [-1]))


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used & set(node.output):
            used |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _is_small(tensor: TensorProto) -> bool:
    return math.prod(tensor.dims) <= _MAX_FOLDED


def _replace_constants_of_shape(graph: onnx.GraphProto) -> None:
    """Write ConstantOfShape as Expand, which a model file may hold: its reader knows the sizes."""
    nodes = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            zero = numpy_helper.from_array(np.zeros(1, np.float32))
            number = f"{node.output[0]}.number"
            value = node.attribute[0].t if node.attribute else zero
            nodes.append(helper.make_node("Constant", [], [number], value=value))
            node = helper.make_node("Expand", [number, node.input[0]], node.output)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(error).strip().partition("\n")[0].rstrip(".")
    if "DataDependent" in type(error).__name__:
        return f"{_BRANCH} PyTorch says: {line}"
    for words, cause in _CAUSES.items():
        if words in line:
            return cause
    missing = _NO_ONNX.search(line)
    if missing:
        return f"PyTorch has no ONNX form of {missing[1]}, which the module calls. {SUPPORTED}"
    return f"PyTorch cannot export this model: {type(error).__name__}: {line}. {SUPPORTED}"
