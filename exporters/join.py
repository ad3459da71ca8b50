"""Join an encoder and a decoder, each an ONNX graph of its own, into the one graph of the format."""

from collections.abc import Sequence

import onnx
import onnx.compose
import onnx.parser
from onnx import GraphProto, ModelProto, NodeProto

from ..spec import INNER, Spec, part_interface
from .graph import OPSET

IR_VERSION = 10


def join(
    encoder: ModelProto,
    decoder: ModelProto,
    spec: Spec,
    moments: Sequence[str] = ("mean", "logvar"),
    decoder_output: str = "image",
) -> ModelProto:
    """image -> encoder -> mean + strength * exp(logvar / 2) * noise -> decoder -> augmented.

    Both may take rows instead of images. `moments` are the names of the encoder's outputs; the first inputs are the
    image and the latent, the second ones, of a conditional model, the labels.
    """
    encoder = onnx.compose.add_prefix(encoder, "encoder.")
    decoder = onnx.compose.add_prefix(decoder, "decoder.")
    graph = onnx.parser.parse_graph(_glue(spec))
    nodes = [
        *_enter(encoder.graph, "image"),
        *encoder.graph.node,
        *(_node("Identity", f"encoder.{name}", target) for name, target in zip(moments, INNER, strict=False)),
        *graph.node,
        *_enter(decoder.graph, "latent"),
        *decoder.graph.node,
        *_leave(decoder.graph, spec, decoder_output),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*encoder.graph.initializer, *decoder.graph.initializer])
    opset = onnx.helper.make_opsetid("", max(_opset(encoder), _opset(decoder)))
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def at_least(model: ModelProto, opset: int = OPSET) -> ModelProto:
    """`model`, converted when its opset is older."""
    return model if _opset(model) >= opset else onnx.version_converter.convert_version(model, opset)


def _opset(model: ModelProto) -> int:
    return max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _glue(spec: Spec) -> str:
    shape, dim = ",".join(map(str, spec.image_shape)), spec.latent_dim
    kinds = {
        "image": f"float[batch,{shape}]",
        "noise": f"float[batch,{dim}]",
        "strength": "float[batch]",
        "label": "int64[batch]",
    }
    inputs = ", ".join(f"{kinds[name]} {name}" for name in part_interface("whole", spec.conditional)[0])
    inner = ", ".join(f"float[batch,{dim}] {name}" for name in INNER)
    return f"""vae_augment ({inputs}) => (float[batch,{shape}] augmented) <{inner}> {{
        half = Constant <value = float {{0.5}}> ()
        column = Constant <value = int64[1] {{1}}> ()
        exponent = Mul (logvar, half)
        std = Exp (exponent)
        factor = Unsqueeze (strength, column)
        scale = Mul (factor, std)
        shift = Mul (scale, noise)
        latent = Add (mean, shift)
    }}"""


def _node(operator: str, source: str, target: str) -> NodeProto:
    return onnx.helper.make_node(operator, [source], [target])


def _enter(part: GraphProto, name: str) -> list[NodeProto]:
    """Give a part its first input, as rows where it takes rows, and its label, where it has one."""
    first, *label = part.input
    operator = "Flatten" if len(first.type.tensor_type.shape.dim) == 2 else "Identity"
    return [_node(operator, name, first.name), *(_node("Identity", "label", value.name) for value in label)]


def _leave(decoder: GraphProto, spec: Spec, decoder_output: str) -> list[NodeProto]:
    operator = "Sigmoid" if decoder_output == "logits" else "Identity"
    shape = onnx.helper.make_node("Constant", [], ["shape"], value_ints=[-1, *spec.image_shape])
    return [
        _node(operator, decoder.output[0].name, "pixels"),
        shape,
        onnx.helper.make_node("Reshape", ["pixels", "shape"], ["augmented"]),
    ]
