"""Small files that ask for much time or memory."""

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnx.helper import make_node

from tests.model.file.attacks.outside import save

GRAPH_FIELD = b"\x3a"
NODE_FIELD = b"\x0a"


def added_times_zero(model: ModelProto, made: str, to: str, output: str) -> list[onnx.NodeProto]:
    """Nodes that add the tensor `made`, times zero, to another, which changes nothing."""
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.zeros(1, np.float32), "bomb.zero")
    )
    return [
        make_node("ReduceSum", [made], ["bomb.sum"], keepdims=0),
        make_node("Mul", ["bomb.sum", "bomb.zero"], ["bomb.nothing"]),
        make_node("Add", [to, "bomb.nothing"], [output]),
    ]


def splice(model: ModelProto, nodes: list[onnx.NodeProto], **weights: np.ndarray) -> ModelProto:
    """Put nodes between the noise, which has 20 numbers an image, and its user.

    The last one makes "spliced".
    """
    graph = model.graph
    graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in weights.items()
    )
    nodes = [*nodes, *added_times_zero(model, nodes[-1].output[0], "noise", "bomb.noise")]
    for node in graph.node:
        node.input[:] = ["bomb.noise" if name == "noise" else name for name in node.input]
    old = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *old])
    return model


def nested_functions(model: ModelProto, folder: Path) -> Path:
    """Sixteen local functions, each calling the one before twice: 2^16 nodes in a kilobyte."""
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("bomb", 1)]
    for level in range(16):
        called = ("Identity", "") if level == 0 else (f"f{level - 1}", "bomb")
        nodes = [
            make_node(called[0], [source], [target], domain=called[1])
            for source, target in (("x", "y"), ("y", "z"))
        ]
        model.functions.append(
            onnx.helper.make_function("bomb", f"f{level}", ["x"], ["z"], nodes, opsets)
        )
    return save(model, folder)


def endless_loop(model: ModelProto, folder: Path) -> Path:
    """A Loop that never ends."""
    body = onnx.parser.parse_graph(
        "body (int64 i, bool c, float[1] x) => (bool d, float[1] y) { d = Identity (c) "
        "y = Identity (x) }"
    )
    loop = make_node("Loop", ["", "bomb.true", "bomb.start"], ["bomb.end"], body=body)
    weights = {"bomb.true": np.array(True), "bomb.start": np.zeros(1, np.float32)}
    return save(splice(model, [loop], **weights), folder)


def constant_of_shape(model: ModelProto, folder: Path) -> Path:
    """162 bytes that make two gigabytes."""
    shape = onnx.helper.make_tensor("s", TensorProto.INT64, [1], [1 << 29])
    nodes = [
        make_node("Constant", [], ["s"], value=shape),
        make_node("ConstantOfShape", ["s"], ["y"]),
    ]
    output = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    graph = onnx.helper.make_graph(nodes, "g", [], [output])
    return save(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
        ),
        folder,
    )


def outer_sum(model: ModelProto, folder: Path) -> Path:
    """Two vectors of 65,536 that broadcast to a matrix of 17 gigabytes."""
    column = np.zeros((1 << 16, 1), np.float32)
    nodes = [make_node("Add", ["bomb.column", "bomb.row"], ["bomb.matrix"])]
    return save(splice(model, nodes, **{"bomb.column": column, "bomb.row": column.T}), folder)


def doubling(model: ModelProto, folder: Path) -> Path:
    """A tensor joined to itself sixty times."""
    names = ["noise", *(f"bomb.{step}" for step in range(60))]
    pairs = itertools.pairwise(names)
    return save(splice(model, [make_node("Concat", [a, a], [b], axis=1) for a, b in pairs]), folder)


def doubling_of_shapes(model: ModelProto, folder: Path) -> Path:
    """The same with a shape, which a shape inference that follows values would have to hold."""
    names = ["bomb.shape", *(f"bomb.{step}" for step in range(60))]
    nodes = [make_node("Shape", ["noise"], ["bomb.shape"])]
    nodes += [make_node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    return save(
        splice(model, [*nodes, make_node("Cast", [names[-1]], ["bomb.float"], to=1)]), folder
    )


def power_of_the_batch(model: ModelProto, folder: Path) -> Path:
    """Small for two images, but it grows with the fourth power of their number."""
    nodes = [
        make_node("Unsqueeze", ["strength", "bomb.a"], ["bomb.x"]),
        make_node("Unsqueeze", ["strength", "bomb.b"], ["bomb.y"]),
        make_node("Add", ["bomb.x", "bomb.y"], ["bomb.z"]),
    ]
    axes = {"bomb.a": np.array([1, 2, 3]), "bomb.b": np.array([0, 1, 3])}
    return save(splice(model, nodes, **axes), folder)


def resize(model: ModelProto, folder: Path) -> Path:
    """An image made ten thousand times larger."""
    nodes = [make_node("Resize", ["image", "", "bomb.scales"], ["bomb.large"], mode="nearest")]
    return save(
        splice(model, nodes, **{"bomb.scales": np.array([1, 1, 1e4, 1e4], np.float32)}), folder
    )


def pad(model: ModelProto, folder: Path) -> Path:
    """An image with a margin of a hundred thousand pixels."""
    pads = np.array([0, 0, 0, 0, 0, 0, 10**5, 10**5])
    return save(
        splice(
            model, [make_node("Pad", ["image", "bomb.pads"], ["bomb.large"])], **{"bomb.pads": pads}
        ),
        folder,
    )


def gather(model: ModelProto, folder: Path) -> Path:
    """A long row taken a hundred thousand times."""
    weights = {
        "bomb.row": np.zeros((1, 1 << 16), np.float32),
        "bomb.index": np.zeros(1 << 17, np.int64),
    }
    return save(
        splice(model, [make_node("Gather", ["bomb.row", "bomb.index"], ["bomb.rows"])], **weights),
        folder,
    )


def expand(model: ModelProto, folder: Path) -> Path:
    """Sixteen gigabytes of copies of one number."""
    weights = {"bomb.one": np.zeros((1, 1), np.float32), "bomb.shape": np.array([1 << 16, 1 << 16])}
    nodes = [make_node("Expand", ["bomb.one", "bomb.shape"], ["bomb.large"])]
    return save(splice(model, nodes, **weights), folder)


def tile(model: ModelProto, folder: Path) -> Path:
    """A thousand million copies of the noise."""
    nodes = [make_node("Tile", ["noise", "bomb.counts"], ["bomb.large"])]
    return save(splice(model, nodes, **{"bomb.counts": np.array([1, 10**9])}), folder)


def tile_that_overflows(model: ModelProto, folder: Path) -> Path:
    """So many copies that their number, in 64 bits, is 0."""
    nodes = [make_node("Tile", ["noise", "bomb.counts"], ["bomb.large"])]
    return save(splice(model, nodes, **{"bomb.counts": np.array([1, 1 << 62])}), folder)


def outer_choice(model: ModelProto, folder: Path) -> Path:
    """A choice between a column and a row of 65,536: a matrix."""
    column = np.zeros((1 << 16, 1), np.float32)
    nodes = [
        make_node("Greater", ["bomb.column", "bomb.column"], ["bomb.choice"]),
        make_node("Where", ["bomb.choice", "bomb.column", "bomb.row"], ["bomb.matrix"]),
    ]
    return save(splice(model, nodes, **{"bomb.column": column, "bomb.row": column.T}), folder)


def outer_product(model: ModelProto, folder: Path) -> Path:
    """Einstein's sum of no index at all: a matrix of all products."""
    row = np.zeros(1 << 16, np.float32)
    nodes = [make_node("Einsum", ["bomb.row", "bomb.row"], ["bomb.matrix"], equation="i,j->ij")]
    return save(splice(model, nodes, **{"bomb.row": row}), folder)


def product_of_sums(model: ModelProto, folder: Path) -> Path:
    """One number, after 2^60 multiplications."""
    names = [f"bomb.{letter}" for letter in "ab"]
    weights = {name: np.zeros((1 << 5,) * 4, np.float32) for name in names}
    nodes = [make_node("Einsum", names, ["bomb.y"], equation="abcd,efgh->")]
    return save(splice(model, nodes, **weights), folder)


def arithmetic(model: ModelProto, folder: Path) -> Path:
    """A thousand products of matrices of 2,048 x 2,048: little memory, hours of work."""
    names = ["bomb.m", *(f"bomb.{step}" for step in range(1000))]
    nodes = [make_node("Add", ["bomb.column", "bomb.row"], ["bomb.m"])]
    nodes += [make_node("MatMul", [a, "bomb.m"], [b]) for a, b in itertools.pairwise(names)]
    column = np.zeros((2048, 1), np.float32)
    return save(splice(model, nodes, **{"bomb.column": column, "bomb.row": column.T}), folder)


def strides_of_zero(model: ModelProto, folder: Path) -> Path:
    """A division by zero in the shape inference, which would end the process."""
    node = make_node("MaxPool", ["image"], ["bomb.pooled"], kernel_shape=[2, 2], strides=[0, 0])
    return save(splice(model, [node]), folder)


def million_empty_nodes(model: ModelProto, folder: Path) -> Path:
    """Two bytes a node in the file, a hundred in memory."""
    nodes = (NODE_FIELD + b"\x00") * (10 << 20)
    path = folder / "attack.onnx"
    path.write_bytes(b"\x08\x08" + GRAPH_FIELD + _varint(len(nodes)) + nodes)
    return path


def huge_dimensions(model: ModelProto, folder: Path) -> Path:
    """A tensor that declares 2^40 numbers and holds four bytes."""
    tensor = model.graph.initializer.add(
        name="bomb", data_type=TensorProto.FLOAT, raw_data=bytes(4)
    )
    tensor.dims.extend([1 << 20, 1 << 20])
    return save(model, folder)


def too_many_nodes(model: ModelProto, folder: Path) -> Path:
    """Three thousand nodes."""
    names = ["noise", *(f"bomb.{step}" for step in range(3000))]
    pairs = itertools.pairwise(names)
    return save(splice(model, [make_node("Identity", [a], [b]) for a, b in pairs]), folder)


def too_large_a_file(model: ModelProto, folder: Path) -> Path:
    """A gigabyte, most of it a hole."""
    path = folder / "attack.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    return path


def _varint(number: int) -> bytes:
    groups = [number >> shift & 0x7F for shift in range(0, 63, 7) if number >> shift]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


UNSAFE = "UnsafeModelError"
ATTACKS = [
    (nested_functions, UNSAFE, "local functions"),
    (endless_loop, UNSAFE, "the operator 'Loop'"),
    (constant_of_shape, UNSAFE, "the operator 'ConstantOfShape'"),
    (outer_sum, UNSAFE, "Add makes a tensor of the shape [65536, 65536]"),
    (doubling, UNSAFE, "Concat makes a tensor of the shape"),
    (doubling_of_shapes, UNSAFE, "Concat makes a tensor of the shape"),
    (power_of_the_batch, UNSAFE, "grows faster than the batch"),
    (resize, UNSAFE, "Resize makes a tensor of the shape"),
    (pad, UNSAFE, "Pad makes a tensor of the shape"),
    (gather, UNSAFE, "Gather makes a tensor of the shape"),
    (expand, UNSAFE, "Expand makes a tensor of the shape [65536, 65536]"),
    (tile, UNSAFE, "Tile makes copies by [1, 1000000000]"),
    (tile_that_overflows, UNSAFE, "Tile makes copies by"),
    (outer_choice, UNSAFE, "Where makes a tensor of the shape [65536, 65536]"),
    (outer_product, UNSAFE, "Einsum makes a tensor of the shape [65536, 65536]"),
    (product_of_sums, UNSAFE, "multiplications"),
    (arithmetic, UNSAFE, "multiplications"),
    (strides_of_zero, UNSAFE, "MaxPool has 'strides' = [0, 0"),
    (million_empty_nodes, UNSAFE, "neither weights nor metadata"),
    (huge_dimensions, UNSAFE, "declares the shape [1048576, 1048576]"),
    (too_many_nodes, UNSAFE, "nodes; at most 2000"),
    (too_large_a_file, UNSAFE, "1073741824 bytes; at most"),
]
