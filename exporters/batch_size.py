"""Where a graph reads how many images its batch has.

A file is cut into an encoder and a decoder, so each must read it from its own input. PyTorch reads
it from any, such as the noise, and once for both.
"""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from onnx import GraphProto, NodeProto, helper


def read_from_own_input(graph: GraphProto) -> None:
    """Let the encoder read the size of the batch from "image", and the decoder from "latent".

    What both compute from it is computed twice. A graph that reads it nowhere stays as it is.
    """
    inputs = {value.name for value in graph.input}
    sizes = {node.output[0] for node in graph.node if _reads_batch(node, inputs)}
    if not sizes:
        return
    makers = {name: node for node in graph.node for name in node.output}
    encoder = _needed(makers, "latent", until="")
    decoder = _needed(makers, "augmented", until="latent")
    twins: dict[str, str] = {}
    added = []
    for node in graph.node:
        if node.output[0] in sizes:
            node.input[0] = "image"
        if node.output[0] not in decoder:
            continue
        taken = [twins.get(name, name) for name in node.input]
        if node.output[0] in sizes:
            taken = ["latent"]
        if node.output[0] not in encoder:
            node.input[:] = taken
        elif taken != list(node.input):
            twins |= {name: f"decoder.{name}" for name in node.output}
            added.append(_twin(node, taken, twins))
    nodes = _in_order([*graph.node, *added])
    del graph.node[:]
    graph.node.extend(nodes)


def _reads_batch(node: NodeProto, inputs: set[str]) -> bool:
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    is_first_axis = bounds.get("start", 0) == 0 and bounds.get("end") == 1
    return node.op_type == "Shape" and node.input[0] in inputs and is_first_axis


def _needed(makers: Mapping[str, NodeProto], name: str, until: str) -> set[str]:
    """The tensors that `name` is computed from, going back as far as `until`."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in makers and name != until and name not in found:
            found |= set(makers[name].output)
            waiting += makers[name].input
    return found


def _twin(node: NodeProto, taken: list[str], twins: Mapping[str, str]) -> NodeProto:
    made = [twins[name] for name in node.output]
    twin = helper.make_node(node.op_type, taken, made)
    twin.attribute.extend(node.attribute)
    return twin


def _in_order(nodes: list[NodeProto]) -> Iterable[NodeProto]:
    """Each node after those whose results it takes."""
    makers = {name: index for index, node in enumerate(nodes) for name in node.output}
    before = {
        index: [makers[name] for name in node.input if name in makers]
        for index, node in enumerate(nodes)
    }
    return [nodes[index] for index in TopologicalSorter(before).static_order()]
