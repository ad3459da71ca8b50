"""Each half of a file reads the size of its batch from its own input."""

import onnx.parser
import pytest

from vae_augment.exporters.batch_size import read_from_own_input

GRAPH = """g (float[batch,4] image, float[batch,2] noise) => (float[batch,6] augmented)
    <float[1,2] ones = {{1, 1}}, int64[1] two = {{2}}> {{
    size = Shape <start = 0, end = {end}> (noise)
    sizes = Concat <axis = 0> (size, two)
    rows = Expand (ones, sizes)
    joined = Concat <axis = 1> (image, rows)
    mean = Relu (joined)
    latent = Add (mean, mean)
    augmented = Concat <axis = 1> ({decoded})
}}"""


def taken(graph: onnx.GraphProto) -> dict[str, list[str]]:
    names: set[str] = {value.name for value in graph.input} | {"ones", "two"}
    for node in graph.node:
        assert set(node.input) <= names, "in another order"
        names |= set(node.output)
    return {node.output[0]: list(node.input) for node in graph.node}


def test_what_both_halves_compute_from_it_is_computed_twice() -> None:
    graph = onnx.parser.parse_graph(GRAPH.format(end=1, decoded="latent, rows"))
    read_from_own_input(graph)
    nodes = taken(graph)
    assert nodes["size"] == ["image"]
    assert nodes["augmented"] == ["latent", "decoder.rows"]
    assert nodes["decoder.rows"] == ["ones", "decoder.sizes"]
    assert nodes["decoder.size"] == ["latent"]


def test_the_decoder_keeps_what_it_has_to_itself() -> None:
    text = GRAPH.format(end=1, decoded="latent, more").replace(
        "augmented =",
        "own = Shape <start = 0, end = 1> (noise) more = Expand (ones, own) augmented =",
    )
    graph = onnx.parser.parse_graph(text)
    read_from_own_input(graph)
    nodes = taken(graph)
    assert nodes["size"] == ["image"]
    assert nodes["own"] == ["latent"]
    assert not [name for name in nodes if name.startswith("decoder.")]


@pytest.mark.parametrize(("end", "source"), [(2, "noise"), (1, "joined")])
def test_a_graph_that_reads_no_batch_size_from_an_input_stays(end: int, source: str) -> None:
    text = GRAPH.format(end=end, decoded="latent, rows").replace("(noise)", f"({source})")
    graph = onnx.parser.parse_graph(text)
    before = graph.SerializeToString()
    read_from_own_input(graph)
    assert graph.SerializeToString() == before
