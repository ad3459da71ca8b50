"""Seeded damage to a good model file, of bytes and of what the bytes mean."""

import random
from collections.abc import Callable

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto

NUMBERS = (-1, 0, 1, 2, 3, 7, 8, 255, 1 << 16, 1 << 31, 1 << 62, -(1 << 62))


def mutate(content: bytes, seed: int) -> bytes:
    """A damaged copy; the same seed gives the same damage."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 2, 5))):
        content = rng.choice(MUTATIONS)(content, rng)
    return content


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    # Half of them in the structure at either end, not in the weights, where nothing much can go
    # wrong.
    span = len(damaged) if rng.random() < 0.5 else min(len(damaged), 6000)
    for _ in range(rng.choice((1, 4, 32))):
        if damaged:
            damaged[rng.randrange(max(1, span)) * rng.choice((1, -1))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut_out(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 100, len(content))) :]


def repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return (
        content[:start]
        + content[start : start + rng.choice((1, 10, 1000))] * rng.choice((2, 50))
        + content[start:]
    )


def change_meaning(content: bytes, rng: random.Random) -> bytes:
    """Change fields of the parsed model: numbers, names, whole parts."""
    model = ModelProto()
    try:
        model.ParseFromString(content)
        for _ in range(rng.choice((1, 3))):
            _change_field(rng.choice(_messages(model, rng)), rng)
    except (DecodeError, ValueError):  # an enumeration takes only its own numbers
        return content
    return model.SerializeToString()


def rewire(content: bytes, rng: random.Random) -> bytes:
    """Let a node take another tensor, or be another operator."""
    try:
        model = onnx.load_from_string(content)
        node = rng.choice(model.graph.node)
        if rng.random() < 0.5:
            node.op_type = rng.choice(OPERATORS)
        elif node.input:
            names = [name for other in model.graph.node for name in (*other.input, *other.output)]
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
    except (DecodeError, IndexError, ValueError):
        return content
    return model.SerializeToString()


def _messages(model: ModelProto, rng: random.Random) -> list[Message]:
    graph = model.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    groups = (
        [model],
        [graph],
        graph.node,
        attributes,
        graph.initializer,
        graph.input,
        graph.value_info,
        model.metadata_props,
    )
    dims = [
        dim
        for value in (*graph.input, *graph.output, *graph.value_info)
        for dim in value.type.tensor_type.shape.dim
    ]
    return list(rng.choice([group for group in (*groups, dims) if group]))


def _change_field(message: Message, rng: random.Random) -> None:
    fields = message.ListFields()
    if not fields:
        return
    field, value = rng.choice(fields)
    if rng.random() < 0.2:
        message.ClearField(field.name)
    elif isinstance(value, int | float | bool):
        setattr(message, field.name, type(value)(rng.choice(NUMBERS)))
    elif isinstance(value, str | bytes):
        setattr(message, field.name, value[: rng.randrange(len(value) + 1)] + value[:3])
    elif hasattr(value, "append") and len(value):
        _change_list(value, rng)


def _change_list(values, rng: random.Random) -> None:
    where = rng.randrange(len(values))
    if rng.random() < 0.4:
        del values[where]
    elif isinstance(values[where], int):
        values[where] = rng.choice(NUMBERS)
    elif isinstance(values[where], str | float):
        values[where] = values[rng.randrange(len(values))]
    else:
        values.add().CopyFrom(values[where])


OPERATORS = (
    "Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace "
    "Flatten Gather Gemm GroupNormalization InstanceNormalization LayerNormalization Loop MatMul "
    "MaxPool Pad QuantizeLinear ReduceSum Relu Reshape Resize Shape Slice Softmax SpaceToDepth "
    "Split Squeeze Transpose Unsqueeze".split(" ")
)
MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    flip_bits, cut_out, repeat, change_meaning, change_meaning, change_meaning, rewire, rewire
]  # fmt: skip
