"""Graphs that turn onnxruntime's kernels against the process.

Traps, null pointers, buffers, hidden batch sizes.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnx.helper import make_node

from tests.model.file.attacks.bombs import splice
from tests.model.file.attacks.outside import save

LOWEST = np.iinfo(np.int32).min


def empty_trailing_input(model: ModelProto, folder: Path) -> Path:
    """A null pointer in place of LayerNormalization's optional bias: SIGSEGV."""
    node = make_node("LayerNormalization", ["noise", "bomb.scale", ""], ["bomb.y"])
    return save(splice(model, [node], **{"bomb.scale": np.ones(20, np.float32)}), folder)


def empty_required_input(model: ModelProto, folder: Path) -> Path:
    """No weights for a convolution."""
    return save(splice(model, [make_node("Conv", ["image", "", "bomb.zero"], ["bomb.y"])]), folder)


def empty_inner_input(model: ModelProto, folder: Path) -> Path:
    """Steps without axes, which no exporter writes."""
    weights = {"bomb.from": np.array([0]), "bomb.to": np.array([9]), "bomb.step": np.array([1])}
    node = make_node("Slice", ["noise", "bomb.from", "bomb.to", "", "bomb.step"], ["bomb.y"])
    return save(splice(model, [node], **weights), folder)


def empty_zero_point(model: ModelProto, folder: Path) -> Path:
    """The same for the zero point of a quantization."""
    node = make_node("QuantizeLinear", ["noise", "bomb.scale", ""], ["bomb.q"])
    back = make_node("DequantizeLinear", ["bomb.q", "bomb.scale"], ["bomb.y"])
    return save(splice(model, [node, back], **{"bomb.scale": np.ones((), np.float32)}), folder)


def empty_output(model: ModelProto, folder: Path) -> Path:
    """A first output that nobody asked for, and an optional one that somebody did."""
    node = make_node("LayerNormalization", ["noise", "bomb.scale"], ["", "bomb.y"])
    return save(splice(model, [node], **{"bomb.scale": np.ones(20, np.float32)}), folder)


def missing_input(model: ModelProto, folder: Path) -> Path:
    """Fewer inputs than the operator has."""
    return save(
        splice(model, [make_node("BatchNormalization", ["image", "bomb.zero"], ["bomb.y"])]), folder
    )


def split_with_too_many_outputs(model: ModelProto, folder: Path) -> Path:
    """More outputs than the node says it has: onnx's shape inference aborts."""
    return save(
        splice(model, [make_node("Split", ["noise"], ["bomb.x", "bomb.y"], num_outputs=1)]), folder
    )


def integer_division(model: ModelProto, folder: Path) -> Path:
    """The lowest integer by -1 once a pixel is exactly 1.

    SIGFPE, which the probe on zeros does not see.
    """
    nodes = [
        make_node("Cast", ["image"], ["bomb.white"], to=TensorProto.INT32),
        make_node("Mul", ["bomb.white", "bomb.lowest"], ["bomb.number"]),
        make_node("Div", ["bomb.number", "bomb.minus"], ["bomb.quotient"]),
        make_node("Cast", ["bomb.quotient"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    weights = {"bomb.lowest": np.array([LOWEST], np.int32), "bomb.minus": np.array([-1], np.int32)}
    return save(splice(model, nodes, **weights), folder)


def integer_division_of_labels(model: ModelProto, folder: Path) -> Path:
    """By the label, which is zero for the first class."""
    nodes = [
        make_node("Div", ["label", "label"], ["bomb.quotient"]),
        make_node("Cast", ["bomb.quotient"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    return save(splice(model, nodes), folder)


def division_of_weights(model: ModelProto, folder: Path) -> Path:
    """Constants that onnxruntime divides as soon as it opens the file."""
    nodes = [
        make_node("Div", ["bomb.lowest", "bomb.minus"], ["bomb.quotient"]),
        make_node("Cast", ["bomb.quotient"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    weights = {"bomb.lowest": np.array([LOWEST], np.int32), "bomb.minus": np.array([-1], np.int32)}
    return save(splice(model, nodes, **weights), folder)


def division_of_large_weights(model: ModelProto, folder: Path) -> Path:
    """The same where they are too many to be a shape."""
    nodes = [
        make_node("Div", ["bomb.many", "bomb.minus"], ["bomb.quotient"]),
        make_node("Cast", ["bomb.quotient"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    weights = {"bomb.many": np.full(5000, LOWEST, np.int32), "bomb.minus": np.array([-1], np.int32)}
    return save(splice(model, nodes, **weights), folder)


def division_by_the_batch(model: ModelProto, folder: Path) -> Path:
    """By the number of images minus 7: SIGFPE at the first batch of seven."""
    nodes = [
        *_batch("noise"),
        make_node("Sub", ["bomb.batch", "bomb.seven"], ["bomb.less"]),
        make_node("Div", ["bomb.one", "bomb.less"], ["bomb.quotient"]),
        make_node("Cast", ["bomb.quotient"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    return save(
        splice(model, nodes, **{"bomb.seven": np.array([7]), "bomb.one": np.array([1])}), folder
    )


def modulo(model: ModelProto, folder: Path) -> Path:
    """The remainder of a division traps just the same."""
    nodes = [
        make_node("Mod", ["label", "label"], ["bomb.rest"]),
        make_node("Cast", ["bomb.rest"], ["bomb.y"], to=TensorProto.FLOAT),
    ]
    return save(splice(model, nodes), folder)


def many_inputs(model: ModelProto, folder: Path) -> Path:
    """One node with 250,000 inputs: seconds."""
    return save(
        splice(model, [make_node("Concat", ["bomb.zero"] * 250_000, ["bomb.y"], axis=0)]), folder
    )


def columns_of_a_transposed_convolution(model: ModelProto, folder: Path) -> Path:
    """A buffer of 2.4 GB for an output of three megabytes."""
    weights = {
        "bomb.kernel": np.zeros((1, 1, 401, 401), np.float32),
        "bomb.scales": np.array([1, 1, 8, 8], np.float32),
    }
    nodes = [
        make_node("Resize", ["image", "", "bomb.scales"], ["bomb.large"], mode="nearest"),
        make_node(
            "ConvTranspose", ["bomb.large", "bomb.kernel"], ["bomb.y"], pads=[200, 200, 200, 200]
        ),
    ]
    return save(splice(model, nodes, **weights), folder)


def hidden_padding(model: ModelProto, folder: Path) -> Path:
    """A margin of K((b - 2)(b - 5))^2 pixels, which is none at batch sizes 2 and 5."""
    nodes = [
        *_batch("noise"),
        make_node("Sub", ["bomb.batch", "bomb.two"], ["bomb.a"]),
        make_node("Sub", ["bomb.batch", "bomb.five"], ["bomb.b"]),
        make_node("Mul", ["bomb.a", "bomb.b"], ["bomb.c"]),
        make_node("Mul", ["bomb.c", "bomb.c"], ["bomb.d"]),
        make_node("Concat", ["bomb.none", "bomb.d"], ["bomb.pads"], axis=0),
        make_node("Pad", ["noise", "bomb.pads"], ["bomb.y"]),
    ]
    weights = {
        "bomb.two": np.array([2]),
        "bomb.five": np.array([5]),
        "bomb.none": np.array([0, 0, 0]),
    }
    return save(splice(model, nodes, **weights), folder)


def hidden_slice(model: ModelProto, folder: Path) -> Path:
    """Everything after the first five images, times itself.

    Nothing for up to five, the square for more.
    """
    return save(_squared(model, 5, 1 << 40), folder)


def hidden_slice_of_a_range(model: ModelProto, folder: Path) -> Path:
    """The same, and nothing again for very large batches."""
    nodes = [
        *_batch("noise"),
        make_node("Sub", ["bomb.limit", "bomb.batch"], ["bomb.from"]),
        make_node("Slice", ["noise", "bomb.from", "bomb.limit", "bomb.axis"], ["bomb.y"]),
    ]
    return save(
        splice(model, nodes, **{"bomb.limit": np.array([1000]), "bomb.axis": np.array([0])}), folder
    )


def hidden_quotient(model: ModelProto, folder: Path) -> Path:
    """Rounding makes a step out of a line."""
    nodes = [
        *_batch("noise"),
        make_node("Div", ["bomb.batch", "bomb.six"], ["bomb.step"]),
        make_node("Concat", ["bomb.none", "bomb.step"], ["bomb.pads"], axis=0),
        make_node("Pad", ["noise", "bomb.pads"], ["bomb.y"]),
    ]
    return save(
        splice(model, nodes, **{"bomb.six": np.array([6]), "bomb.none": np.array([0, 0, 0])}),
        folder,
    )


def hidden_squeeze(model: ModelProto, folder: Path) -> Path:
    """A squeeze of all axes of length one, among them the batch when it is one image."""
    nodes = [make_node("Squeeze", ["noise"], ["bomb.s"]), make_node("Relu", ["bomb.s"], ["bomb.y"])]
    return save(splice(model, nodes), folder)


def hidden_pooling(model: ModelProto, folder: Path) -> Path:
    """A pool over the batch, whose size is rounded down."""
    nodes = [
        make_node("Transpose", ["image"], ["bomb.t"], perm=[1, 2, 3, 0]),
        make_node(
            "MaxPool",
            ["bomb.t"],
            ["bomb.y"],
            kernel_shape=[1, 6],
            pads=[0, 0, 0, 5],
            strides=[1, 6],
        ),
    ]
    return save(splice(model, nodes), folder)


def not_finite_on_white(model: ModelProto, folder: Path) -> Path:
    """Finite for black images, NaN for white ones."""
    nodes = [
        make_node("Sub", ["bomb.one", "image"], ["bomb.dark"]),
        make_node("Log", ["bomb.dark"], ["bomb.y"]),
    ]
    return save(splice(model, nodes, **{"bomb.one": np.ones(1, np.float32)}), folder)


def not_finite_with_noise(model: ModelProto, folder: Path) -> Path:
    """Finite without noise, NaN with it."""
    return save(splice(model, [make_node("Log", ["noise"], ["bomb.y"])]), folder)


def escape_in_a_tensor(model: ModelProto, folder: Path) -> Path:
    """A name that would reprogram the terminal when a message shows it."""
    nodes = [make_node("Relu", ["noise"], ["bomb.\x1b]0;owned\x07"])]
    return save(splice(model, nodes), folder)


def escape_in_a_node(model: ModelProto, folder: Path) -> Path:
    """The same in the name of a node, which onnxruntime writes into its log."""
    nodes = [make_node("Relu", ["noise"], ["bomb.y"], name="\x1b[2J")]
    return save(splice(model, nodes), folder)


def copies_below_one(model: ModelProto, folder: Path) -> Path:
    """A buffer of minus twenty numbers."""
    nodes = [make_node("Tile", ["noise", "bomb.counts"], ["bomb.y"])]
    return save(splice(model, nodes, **{"bomb.counts": np.array([1, -1])}), folder)


def expansion_by_the_noise(model: ModelProto, folder: Path) -> Path:
    """A shape that is known only when it runs."""
    nodes = [
        make_node("Cast", ["strength"], ["bomb.shape"], to=TensorProto.INT64),
        make_node("Expand", ["bomb.zero", "bomb.shape"], ["bomb.y"]),
    ]
    return save(splice(model, nodes), folder)


def hidden_expansion(model: ModelProto, folder: Path) -> Path:
    """As many columns as the square of the batch."""
    nodes = [
        *_batch("noise"),
        make_node("Mul", ["bomb.batch", "bomb.batch"], ["bomb.square"]),
        make_node("Expand", ["bomb.zero", "bomb.square"], ["bomb.y"]),
    ]
    return save(splice(model, nodes), folder)


def expansion_to_less(model: ModelProto, folder: Path) -> Path:
    """As many numbers as the batch has images beyond three: minus two of one image."""
    nodes = [
        *_batch("noise"),
        make_node("Sub", ["bomb.batch", "bomb.three"], ["bomb.less"]),
        make_node("Expand", ["bomb.zero", "bomb.less"], ["bomb.y"]),
    ]
    return save(splice(model, nodes, **{"bomb.three": np.array([3])}), folder)


def largest_of_nothing(model: ModelProto, folder: Path) -> Path:
    """The first number of a row that has none."""
    nodes = [
        make_node("Slice", ["noise", "bomb.from", "bomb.from", "bomb.axis"], ["bomb.nothing"]),
        make_node("ReduceMax", ["bomb.nothing", "bomb.axis"], ["bomb.y"]),
    ]
    weights = {"bomb.from": np.array([0]), "bomb.axis": np.array([1])}
    return save(splice(model, nodes, **weights), folder)


def diagonal(model: ModelProto, folder: Path) -> Path:
    """A letter twice, for which onnxruntime has code of its own."""
    weights = {"bomb.matrix": np.ones((20, 20), np.float32)}
    node = make_node("Einsum", ["bomb.matrix"], ["bomb.y"], equation="ii->i")
    return save(splice(model, [node], **weights), folder)


def other_letters(model: ModelProto, folder: Path) -> Path:
    """A result of letters that no tensor has."""
    node = make_node("Einsum", ["noise"], ["bomb.y"], equation="ij->ijkl")
    return save(splice(model, [node]), folder)


def _batch(source: str) -> list[onnx.NodeProto]:
    return [make_node("Shape", [source], ["bomb.batch"], start=0, end=1)]


def _squared(model: ModelProto, first: int, last: int) -> ModelProto:
    axes = {"bomb.x": np.array([1]), "bomb.z": np.array([0]), "bomb.axis": np.array([0])}
    bounds = {"bomb.from": np.array([first]), "bomb.to": np.array([last])}
    nodes = [
        make_node("Slice", ["strength", "bomb.from", "bomb.to", "bomb.axis"], ["bomb.rest"]),
        make_node("Unsqueeze", ["bomb.rest", "bomb.x"], ["bomb.column"]),
        make_node("Unsqueeze", ["bomb.rest", "bomb.z"], ["bomb.row"]),
        make_node("Add", ["bomb.column", "bomb.row"], ["bomb.y"]),
    ]
    return splice(model, nodes, **axes, **bounds)


FORMAT, UNSAFE = "ModelFormatError", "UnsafeModelError"
EMPTY, INTEGER, GROWTH = (UNSAFE, "left out"), (UNSAFE, "integer"), (UNSAFE, "batch")
ATTACKS = [
    *((maker, *EMPTY) for maker in (empty_trailing_input, empty_required_input, empty_inner_input)),
    *((maker, *EMPTY) for maker in (empty_zero_point, empty_output)),
    (missing_input, FORMAT, "not well formed"),
    (split_with_too_many_outputs, FORMAT, "Split has 2 outputs and says it has 1"),
    *(
        (maker, *INTEGER)
        for maker in (integer_division, integer_division_of_labels, division_of_weights)
    ),
    *((maker, *INTEGER) for maker in (division_of_large_weights, division_by_the_batch)),
    (modulo, UNSAFE, "the operator 'Mod'"),
    (many_inputs, UNSAFE, "inputs"),
    (columns_of_a_transposed_convolution, UNSAFE, "numbers in memory"),
    *(
        (maker, *GROWTH)
        for maker in (hidden_padding, hidden_slice, hidden_slice_of_a_range, hidden_quotient)
    ),
    *((maker, *GROWTH) for maker in (hidden_squeeze, hidden_pooling)),
    (not_finite_on_white, FORMAT, "finite"),
    (not_finite_with_noise, FORMAT, "finite"),
    (copies_below_one, UNSAFE, "Tile makes copies by [1, -1]"),
    (expansion_by_the_noise, UNSAFE, "The size of what Expand makes cannot be known"),
    (hidden_expansion, *GROWTH),
    (expansion_to_less, UNSAFE, "Expand makes copies by [-1]"),
    (largest_of_nothing, UNSAFE, "ReduceMax takes images without pixels, or another empty tensor"),
    *((maker, UNSAFE, "Einsum has the equation") for maker in (diagonal, other_letters)),
    *((maker, FORMAT, "not printable") for maker in (escape_in_a_tensor, escape_in_a_node)),
]
