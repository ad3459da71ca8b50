"""Hostile files of format version 2, whose decoder samples an image where the latent says."""

import base64
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
from onnx import ModelProto, NodeProto
from onnx.helper import make_node

from tests.model.file.attacks.bombs import added_times_zero
from tests.model.file.attacks.metadata import LATENTS
from tests.model.file.attacks.outside import save, set_images_aside

GOLDEN = Path(__file__).parents[3] / "data" / "format-2.onnx"  # images of 1x8x8, 3 latent numbers


def with_nodes(nodes: list[NodeProto], **weights: np.ndarray) -> ModelProto:
    """The golden file with nodes at its end.

    The last one makes "bomb.y", which adds nothing to the images.
    """
    model = onnx.load(GOLDEN)
    weights |= {"bomb.axis": np.array([2]), "bomb.start": np.array([0])}
    weights |= {"bomb.four": np.array([4]), "bomb.row": np.array([-1])}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in weights.items()
    )
    set_images_aside(model)
    model.graph.node.extend(
        [*nodes, *added_times_zero(model, "bomb.y", "real.augmented", "augmented")]
    )
    return model


def grid(model: ModelProto) -> str:
    (node,) = (node for node in model.graph.node if node.op_type == "GridSample")
    return node.input[1]


def latents(_: ModelProto, folder: Path) -> Path:
    """A mixture from which noise far outside the normal distribution would be drawn."""
    model = onnx.load(GOLDEN)
    arrays = {
        "weights": np.ones((1, 1), np.float32),
        "means": np.full((1, 1, 3), 1e5, np.float32),
        "scales": np.zeros((1, 1, 3, 3), np.float32),
        "bank": np.zeros((0, 3), np.float32),
        "bank_given_label": np.zeros((0, 3), np.float32),
        "bank_labels": np.zeros(0, np.int64),
    }
    model.metadata_props.add(
        key=LATENTS, value=base64.b64encode(safetensors.numpy.save(arrays)).decode()
    )
    return save(model, folder)


def noise_past_the_latent(_: ModelProto, folder: Path) -> Path:
    """A decoder that takes a third input."""
    return save(with_nodes([make_node("Relu", ["noise"], ["bomb.y"])]), folder)


def shaped_by_the_image(_: ModelProto, folder: Path) -> Path:
    """Pixels that say how large a tensor is."""
    nodes = [
        make_node("Reshape", ["image", "bomb.row"], ["bomb.pixels"]),
        make_node("Slice", ["bomb.pixels", "bomb.start", "bomb.four"], ["bomb.scales"]),
        make_node("Resize", ["real.augmented", "", "bomb.scales"], ["bomb.y"]),
    ]
    return save(with_nodes(nodes), folder)


def indexed_by_the_image(_: ModelProto, folder: Path) -> Path:
    """Pixels that say from where in memory to read."""
    nodes = [
        make_node("Mul", ["image", "bomb.large"], ["bomb.far"]),
        make_node("Cast", ["bomb.far"], ["bomb.index"], to=onnx.TensorProto.INT64),
        make_node("Gather", ["bomb.table", "bomb.index"], ["bomb.y"]),
    ]
    return save(
        with_nodes(
            nodes, **{"bomb.large": np.float32([1e18]), "bomb.table": np.zeros(2, np.float32)}
        ),
        folder,
    )


def grid_of_one_image(_: ModelProto, folder: Path) -> Path:
    """Coordinates for one image, which the kernel would look up for a whole batch."""
    nodes = [make_node("GridSample", ["image", "bomb.grid"], ["bomb.y"])]
    return save(with_nodes(nodes, **{"bomb.grid": np.zeros((1, 4, 4, 2), np.float32)}), folder)


def sampled_from_nothing(_: ModelProto, folder: Path) -> Path:
    """Images without rows."""
    nodes = [
        make_node("Slice", ["image", "bomb.start", "bomb.start", "bomb.axis"], ["bomb.rows"]),
        make_node("GridSample", ["bomb.rows", grid(onnx.load(GOLDEN))], ["bomb.y"]),
    ]
    return save(with_nodes(nodes), folder)


FORMAT, UNSAFE = "ModelFormatError", "UnsafeModelError"
ATTACKS = [
    (latents, FORMAT, "conditioned on an image, but has latents"),
    (noise_past_the_latent, FORMAT, "noise reaches them past it"),
    (shaped_by_the_image, UNSAFE, "The size of what Resize makes cannot be known"),
    (indexed_by_the_image, FORMAT, "fails when run"),
    (grid_of_one_image, FORMAT, "GridSample is not well formed"),
    (sampled_from_nothing, UNSAFE, "GridSample takes images without pixels"),
]
