"""Graphs of random operators, spliced into a good model, which the loader refuses or survives.

Optional inputs are left out, integers go through arithmetic, shapes are computed from the batch,
and attributes and weights take values that kernels may trip over. The same seed gives the same
file.
"""

import random
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto
from onnx.defs import OpSchema
from onnx.helper import make_attribute, make_node

from tests.model.file.attacks.bombs import splice
from vae_augment.model.file import ALLOWED_OPS

KINDS = OpSchema.AttrType
OPERATORS = sorted(ALLOWED_OPS - {"Constant"})
OF_SHAPES = (
    "Add Cast Concat Div Expand Gather Mul Pad Reshape Resize Shape Slice Split Squeeze Sub Tile "
    "Transpose Unsqueeze".split(" ")
)
GRID = make_node(
    "Reshape", ["noise", "grid.shape"], ["grid"]
)  # two coordinates per pixel, for GridSample
WITH_INDICES = frozenset(
    "Expand Gather Pad Reshape Slice Split Squeeze Tile Unsqueeze".split(" ")
)  # in their second input
OPSETS = (18, 18, 20, 21, 23)
INTEGERS = [
    -(1 << 63),
    -(1 << 31),
    -8,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    20,
    64,
    1 << 16,
    (1 << 63) - 1,
]
SHAPES = [
    (),
    (1,),
    (20,),
    (1, 20),
    (20, 20),
    (1, 1, 3, 3),
    (4, 1, 5, 5),
    (8,),
    (2, 4, 1, 1),
    (20, 3),
]
TYPES = [1, 1, 2, 3, 6, 7, 7, 9, 10, 11]  # of Cast, by onnx's numbers
VALUES: dict[Any, list[Any]] = {
    KINDS.INT: [0, 1, 1, 2, -1, 3, 4, 6, 7],
    KINDS.FLOAT: [0.0, 1.0, -1.0, 1e-41, 1e38],
    KINDS.INTS: [
        [0], [1], [0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [3, 3], [200, 200],
        [0, 0, 1, 1], [1, 0, 2, 3], [3, 2, 1, 0], [5, 5, 5, 5],
    ],
    KINDS.STRING: (
        "asymmetric bilinear constant cubic edge floor linear nearest reflect tanh zeros CRD DCR "
        "SAME_UPPER VALID ij->ji ij,kj->ik ij,ij->i ii->i abcd,cd->ab"
    ).split(" "),
}  # fmt: skip


def random_graph(content: bytes, seed: int) -> bytes:
    """The model in `content` with one to eight random nodes between its noise and what uses it."""
    graph = _Graph(random.Random(seed), np.random.default_rng(seed))
    model = onnx.load_from_string(content)
    nodes = [graph.node(number) for number in range(graph.rng.choice((1, 1, 2, 2, 3, 5, 8)))]
    if graph.rng.random() < 0.8:
        nodes.append(make_node("Cast", [nodes[-1].output[0]], ["random.float"], to=1))
    splice(model, [GRID, *nodes], **{"grid.shape": np.array([0, 5, 2, 2])}, **graph.weights)
    model.opset_import[0].version, model.ir_version = graph.rng.choice(OPSETS), 10
    return model.SerializeToString()


class _Graph:
    """The tensors that there are so far, and nodes that take them.

    Half of the graphs are tidy: their nodes are mostly well formed, so that many get past the
    checks of the loader.
    """

    def __init__(self, rng: random.Random, numbers: np.random.Generator) -> None:
        self.rng, self._numbers = rng, numbers
        self._is_tidy = rng.random() < 0.5
        self._floats, self._integers, self._grids = (
            ["noise", "noise", "image", "strength"],
            ["label"],
            ["grid"],
        )
        self.weights: dict[str, np.ndarray] = {}

    def node(self, number: int) -> NodeProto:
        operator = self.rng.choice(OPERATORS if self._happens(0.6) else OF_SHAPES)
        operator = "GridSample" if len(self._grids) > 1 and self._happens(0.6) else operator
        schema = onnx.defs.get_schema(operator, 20)
        inputs = self._tidy_inputs(schema) if self._is_tidy else self._wild_inputs(schema)
        node = make_node(operator, inputs, self._outputs(number, schema))
        for attribute in schema.attributes.values():
            is_given = self._happens(0.9 if attribute.required else 0.1 if self._is_tidy else 0.25)
            if attribute.type in VALUES and is_given:
                values = TYPES if attribute.name == "to" else VALUES[attribute.type]
                node.attribute.append(make_attribute(attribute.name, self.rng.choice(values)))
        is_shape = operator == "Shape" or (
            operator in OF_SHAPES and inputs[:1] and inputs[0] in self._integers
        )
        made = self._grids if inputs[:1] and inputs[0] in self._grids else self._floats
        (self._integers if is_shape else made).extend(name for name in node.output if name)
        return node

    def _tidy_inputs(self, schema: OpSchema) -> list[str]:
        if schema.name == "GridSample":
            return [
                self.rng.choice(["image", "image", *self._floats[-2:]]),
                self.rng.choice(self._grids),
            ]
        takes_shapes = schema.name in OF_SHAPES
        own = self._integers if takes_shapes and self._happens(0.6) else self._floats
        own = self._grids if own is self._floats and self._happens(0.2) else own
        others = self._integers if schema.name in WITH_INDICES else own
        count = self.rng.randint(schema.min_input, min(schema.max_input, schema.min_input + 1))
        return [
            self.rng.choice(own[-4:]) if place == 0
            else self.rng.choice(others) if self._happens(0.4)
            else self._weight(is_integer=others is self._integers)
            for place in range(count)
        ]  # fmt: skip

    def _wild_inputs(self, schema: OpSchema) -> list[str]:
        most = min(schema.max_input, schema.min_input + 3)
        count = (
            self.rng.randint(schema.min_input, most)
            if self._happens(0.95)
            else self.rng.randint(0, 6)
        )
        return [self._wild_input(place) for place in range(count)]

    def _wild_input(self, place: int) -> str:
        names = self._floats + self._integers
        chance = self.rng.random()
        if chance < 0.06:
            return ""
        if chance < (0.65 if place == 0 else 0.4):
            return self.rng.choice(names)
        return self._weight(is_integer=self._happens(0.5))

    def _outputs(self, number: int, schema: OpSchema) -> list[str]:
        name = f"random.{number}"
        more = schema.min_output - 1 or int(self._happens(0.05) or schema.name == "Split")
        return ["" if self._happens(0.01) else name, *(f"{name}.{place}" for place in range(more))]

    def _weight(self, is_integer: bool) -> str:
        name = f"random.w{len(self.weights)}"
        if is_integer and self._happens(0.8):
            values = INTEGERS[4:-2] if self._is_tidy else INTEGERS
            length = self.rng.choice((1, 1, 1, 2, 4, 8))
            array = np.array([self.rng.choice(values) for _ in range(length)], np.int64)
        elif is_integer:
            array = np.array(self.rng.choice((-(1 << 31), -1, 0, 1)), np.int32)
        else:
            array = self._numbers.standard_normal(self.rng.choice(SHAPES)).astype(np.float32)
            array = array * np.float32(self.rng.choice((1, 1, 1e-40, 1e30)))
        self.weights[name] = array
        return name

    def _happens(self, chance: float) -> bool:
        return self.rng.random() < chance
