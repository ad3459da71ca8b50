"""The graph that adds to an image what a move of its latent changes, made of a file's two parts.

One run of it does what an encoder, two decoders and some arithmetic between them do, without a copy
of the latents and the images in between.
"""

import onnx
from onnx import helper

_OURS = "residual/"  # of the names that neither part has
_DECODER = "residual/decoder/"  # of the decoder's own names, which the encoder may have too

_ENDS = {f"{_OURS}black": 0.0, f"{_OURS}white": 1.0}


def residual_model(
    encoder: onnx.ModelProto, decoder: onnx.ModelProto, takes_labels: bool
) -> onnx.ModelProto:
    """The graph image + decode(latent) - decode(mean), clipped to [0, 1].

    Moved and unmoved latents are decoded as one batch of 2B rows.

    Args:
        encoder: image, noise, strength and, if it takes labels, label -> mean [B, D] and
            latent [B, D].
        decoder: latent and, if it takes labels, label -> augmented.
        takes_labels: whether both have the input "label" [B].
    """
    graph = encoder.graph
    after = decoder.graph
    pairs = {"latent": ["latent", "mean"]}
    if takes_labels:
        pairs["label"] = ["label", "label"]
    names = {name: f"{_OURS}{name}" for name in pairs}
    nodes = [
        helper.make_node("Concat", pair, [names[name]], axis=0) for name, pair in pairs.items()
    ]
    nodes += [_renamed(node, names) for node in after.node]
    nodes += _difference()
    made = helper.make_graph(
        [*graph.node, *nodes],
        "residual",
        graph.input,
        after.output,
        [*graph.initializer, *map(_renamed_tensor, after.initializer), *_ends()],
    )
    return helper.make_model(
        made, ir_version=encoder.ir_version, opset_imports=encoder.opset_import
    )


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """A node of the decoder, whose names are its own but for `names`; a left-out input stays so."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = node.name and _DECODER + node.name
    copy.input[:] = [names.get(name, name and _DECODER + name) for name in node.input]
    copy.output[:] = [name and _DECODER + name for name in node.output]
    return copy


def _renamed_tensor(tensor: onnx.TensorProto) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = _DECODER + tensor.name
    return copy


def _difference() -> list[onnx.NodeProto]:
    decoded = f"{_DECODER}augmented"
    after = f"{_OURS}after"
    before = f"{_OURS}before"
    change = f"{_OURS}change"
    changed = f"{_OURS}changed"
    return [
        helper.make_node("Split", [decoded], [after, before], axis=0, num_outputs=2),
        helper.make_node("Sub", [after, before], [change]),
        helper.make_node("Add", ["image", change], [changed]),
        helper.make_node("Clip", [changed, *_ENDS], ["augmented"]),
    ]


def _ends() -> list[onnx.TensorProto]:
    return [
        helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value])
        for name, value in _ENDS.items()
    ]
