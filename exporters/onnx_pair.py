"""The source that is an encoder and a decoder made elsewhere, each an .onnx file of its own."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx.compose
import onnx.parser
import torch
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor, nn

from ..errors import ExportError
from ..model.file import check_foreign_cost, read_foreign
from ..model.sessions import TranslatedErrors, open_session
from ..model.spec import INNER, MAX_SIDE, Spec
from .foreign import ForeignVAE
from .pixel_values import PixelValues
from .tracing import OPSET, rename

IR_VERSION = 10
Pair = tuple[str | os.PathLike[str], str | os.PathLike[str]]


def from_onnx_pair(pair: Pair) -> ForeignVAE:
    """Adapt an encoder (image -> mean, logvar) and a decoder (latent -> image)."""
    encoder = _read(Path(pair[0]))
    decoder = _read(Path(pair[1]))
    moments = _moments(encoder)
    image_shape = _input_shape(encoder, "encoder")
    _input_shape(decoder, "decoder")
    encode = _runner(encoder, moments)
    decode = _runner(decoder, [decoder.graph.output[0].name])
    return ForeignVAE(
        f"onnx pair {Path(pair[0]).name}, {Path(pair[1]).name}",
        nn.Module().eval(),
        encode,
        lambda latent: decode(latent)[0],
        image_shape,
        make_graph=functools.partial(_join, encoder, decoder, moments),
    )


def _read(path: Path) -> ModelProto:
    model = read_foreign(path)
    # Files older than version 4 list their weights as inputs too.
    model.ir_version = max(model.ir_version, 4)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _moments(encoder: ModelProto) -> list[str]:
    """The names of the encoder's mean and log-variance."""
    names = [value.name for value in encoder.graph.output]
    if {"mean", "logvar"} <= set(names):
        return ["mean", "logvar"]
    if len(names) != 2:
        raise ExportError(
            f"The encoder has the outputs {names}. Give it two, mean and log-variance in this "
            "order, or name them 'mean' and 'logvar'."
        )
    return names


def _input_shape(model: ModelProto, role: str) -> list[int] | None:
    """The shape of the only input without the batch; None where it is not fixed."""
    names = [value.name for value in model.graph.input]
    if len(names) != 1:
        raise ExportError(
            f"The {role} has the inputs {names}; it must have one. Noise is added outside of it."
        )
    shape = model.graph.input[0].type.tensor_type.shape.dim
    batch, *dims = shape or [onnx.TensorShapeProto.Dimension()]
    sizes = [dim.dim_value for dim in dims if dim.HasField("dim_value")]
    if any(not 1 <= size <= MAX_SIDE**2 for size in sizes):
        raise ExportError(f"The {role} takes an input of {sizes[:8]} numbers.")
    if batch.HasField("dim_value"):
        raise ExportError(
            f"The {role} has the batch size {batch.dim_value} baked in. Export it again with a "
            "dynamic first axis."
        )
    return sizes if len(sizes) == len(dims) else None


def _runner(model: ModelProto, outputs: Sequence[str]) -> Callable[[Tensor], list[Tensor]]:
    name = model.graph.input[0].name

    @functools.cache
    def session(row: tuple[int, ...]) -> Any:
        check_foreign_cost(model, row)  # nothing runs before
        return open_session(model.SerializeToString(), ["CPUExecutionProvider"], None, strict=True)

    def run(rows: Tensor) -> list[Tensor]:
        with TranslatedErrors("onnxruntime cannot run the model"):
            arrays = session(tuple(rows.shape[1:])).run(list(outputs), {name: rows.numpy()})
        return [torch.from_numpy(array) for array in arrays]

    return run


def _join(
    encoder: ModelProto,
    decoder: ModelProto,
    moments: Sequence[str],
    spec: Spec,
    values: PixelValues,
) -> ModelProto:
    """image -> encoder -> mean + strength * exp(logvar / 2) * noise -> decoder -> augmented."""
    opset = max(OPSET, _opset(encoder), _opset(decoder))
    first = onnx.compose.add_prefix(_converted(encoder, opset), "encoder.").graph
    second = onnx.compose.add_prefix(_converted(decoder, opset), "decoder.").graph
    rename(first, dict(zip([f"encoder.{name}" for name in moments], INNER[:2], strict=True)))
    graph = onnx.parser.parse_graph(_perturbation(spec))
    nodes = [
        *_to_encoder(values),
        _enter(first.input[0], "taken"),
        *first.node,
        *graph.node,
        _enter(second.input[0], "latent"),
        *second.node,
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, *spec.image_shape]),
        helper.make_node("Reshape", [second.output[0].name, "shape"], ["pixels"]),
        *_from_decoder(values),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*first.initializer, *second.initializer, *_range(values)])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION
    )


def _range(values: PixelValues) -> list[onnx.TensorProto]:
    numbers = {"low": values.low, "width": values.width}
    return [numpy_helper.from_array(number.numpy(), name) for name, number in numbers.items()]


def _to_encoder(values: PixelValues) -> list[NodeProto]:
    """`PixelValues.to_module` as nodes, from "image" to "taken"."""
    if not values.scales_images:
        return [helper.make_node("Identity", ["image"], ["taken"])]
    return [
        helper.make_node("Mul", ["image", "width"], ["scaled"]),
        helper.make_node("Add", ["scaled", "low"], ["taken"]),
    ]


def _from_decoder(values: PixelValues) -> list[NodeProto]:
    """`PixelValues.from_module` as nodes, from "pixels" to "augmented"."""
    if not values.cuts_off:
        last = "Sigmoid" if values.decoder_output == "logits" else "Identity"
        return [helper.make_node(last, ["pixels"], ["augmented"])]
    return [
        helper.make_node("Sub", ["pixels", "low"], ["lifted"]),
        helper.make_node("Div", ["lifted", "width"], ["unclipped"]),
        helper.make_node("Constant", [], ["black"], value_float=0.0),
        helper.make_node("Constant", [], ["white"], value_float=1.0),
        helper.make_node("Clip", ["unclipped", "black", "white"], ["augmented"]),
    ]


def _opset(model: ModelProto) -> int:
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _converted(model: ModelProto, opset: int) -> ModelProto:
    if _opset(model) == opset:
        return model
    try:
        return onnx.version_converter.convert_version(model, opset)
    except (onnx.version_converter.ConvertError, RuntimeError) as error:
        raise ExportError(
            f"A graph of opset {_opset(model)} cannot be converted to {opset}: {error}"
        ) from error


def _perturbation(spec: Spec) -> str:
    image = f"float[batch,{','.join(map(str, spec.image_shape))}]"
    latent = f"float[batch,{spec.latent_dim}]"
    inputs = f"{image} image, {latent} noise, float[batch] strength"
    return f"""vae_augment ({inputs}) => ({image} augmented) {{
        half = Constant <value = float {{0.5}}> ()
        column = Constant <value = int64[1] {{1}}> ()
        exponent = Mul (logvar, half)
        std = Exp (exponent)
        factor = Unsqueeze (strength, column)
        scale = Mul (factor, std)
        shift = Mul (scale, noise)
        latent = Add (mean, shift)
    }}"""


def _enter(taken: ValueInfoProto, name: str) -> NodeProto:
    """Connect the input of the encoder or the decoder to `name`, as rows where it takes rows."""
    takes_rows = len(taken.type.tensor_type.shape.dim) == 2
    return helper.make_node("Flatten" if takes_rows else "Identity", [name], [taken.name])
