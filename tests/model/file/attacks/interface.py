"""Files that are good ONNX, but not what they must be."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnx.helper import make_node

from tests.model.file.attacks.bombs import splice
from tests.model.file.attacks.outside import save, set_images_aside


def unknown_operator(model: ModelProto, folder: Path) -> Path:
    """An operator that nobody knows."""
    return save(splice(model, [make_node("Summon", ["noise"], ["bomb.y"])]), folder)


def random_operator(model: ModelProto, folder: Path) -> Path:
    """Random numbers, which repeat in every worker."""
    return save(splice(model, [make_node("RandomNormalLike", ["noise"], ["bomb.y"])]), folder)


def unknown_domain(model: ModelProto, folder: Path) -> Path:
    """A domain whose operators a library may bring."""
    model.opset_import.append(onnx.helper.make_opsetid("evil", 1))
    return save(splice(model, [make_node("Relu", ["noise"], ["bomb.y"], domain="evil")]), folder)


def domain_without_import(model: ModelProto, folder: Path) -> Path:
    """The same without saying so."""
    return save(
        splice(model, [make_node("Relu", ["noise"], ["bomb.y"], domain="com.microsoft")]), folder
    )


def opset_99(model: ModelProto, folder: Path) -> Path:
    """An operator set of the future."""
    model.opset_import[0].version = 99
    return save(model, folder)


def ir_version_99(model: ModelProto, folder: Path) -> Path:
    """A file format of the future."""
    model.ir_version = 99
    return save(model, folder)


def wrong_type(model: ModelProto, folder: Path) -> Path:
    """Images in double precision."""
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return save(model, folder)


def wrong_shape(model: ModelProto, folder: Path) -> Path:
    """Images larger than the metadata says."""
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 9
    return save(model, folder)


def fixed_batch(model: ModelProto, folder: Path) -> Path:
    """A batch of two and no other."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    return save(model, folder)


def wrong_name(model: ModelProto, folder: Path) -> Path:
    """An input called otherwise."""
    model.graph.input[0].name = "picture"
    return save(model, folder)


def extra_output(model: ModelProto, folder: Path) -> Path:
    """One more output."""
    model.graph.output.append(model.graph.input[1])
    return save(model, folder)


def lying_output(model: ModelProto, folder: Path) -> Path:
    """A latent whose declared shape is not the one that comes out."""
    set_images_aside(model)
    model.graph.node.append(
        make_node("Concat", ["real.augmented", "real.augmented"], ["augmented"], axis=1)
    )
    return save(model, folder)


def output_out_of_range(model: ModelProto, folder: Path) -> Path:
    """Images with values of a thousand."""
    set_images_aside(model)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1000), "thousand"))
    model.graph.node.append(make_node("Mul", ["real.augmented", "thousand"], ["augmented"]))
    return save(model, folder)


def duplicate_names(model: ModelProto, folder: Path) -> Path:
    """Two tensors of one name."""
    model.graph.initializer.append(model.graph.initializer[0])
    return save(model, folder)


def cycle(model: ModelProto, folder: Path) -> Path:
    """Nodes that wait for each other."""
    nodes = [
        make_node("Add", ["noise", "bomb.b"], ["bomb.a"]),
        make_node("Add", ["noise", "bomb.a"], ["bomb.b"]),
    ]
    return save(splice(model, nodes), folder)


def subgraph(model: ModelProto, folder: Path) -> Path:
    """A graph hidden in an attribute of an allowed operator."""
    node = make_node("Relu", ["noise"], ["bomb.y"])
    node.attribute.append(
        onnx.helper.make_attribute("hidden", onnx.parser.parse_graph("g () => () {}"))
    )
    return save(splice(model, [node]), folder)


def shortcut(model: ModelProto, folder: Path) -> Path:
    """A decoder that looks at the image past the latent, so that it cannot be cut out."""
    set_images_aside(model)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    model.graph.node.extend(
        [
            make_node("Add", ["real.augmented", "image"], ["twice"]),
            make_node("Mul", ["twice", "half"], ["augmented"]),
        ]
    )
    return save(model, folder)


def missing_latent(model: ModelProto, folder: Path) -> Path:
    """No tensor to cut at."""
    del model.graph.value_info[2]
    return save(model, folder)


FORMAT, UNSAFE = "ModelFormatError", "UnsafeModelError"
ATTACKS = [
    (unknown_operator, UNSAFE, "the operator 'Summon'"),
    (random_operator, UNSAFE, "the operator 'RandomNormalLike'"),
    (unknown_domain, UNSAFE, "operator domains"),
    (domain_without_import, UNSAFE, "the operator 'com.microsoft.Relu'"),
    (opset_99, FORMAT, "Opset 99 is outside 18..24"),
    (ir_version_99, FORMAT, "IR version 99 is outside"),
    (wrong_type, FORMAT, "image has element type 11, expected 1"),
    (wrong_shape, FORMAT, "image has the shape ['batch', 1, 9, 8]"),
    (fixed_batch, FORMAT, "expected a free batch axis"),
    (wrong_name, FORMAT, "Its inputs are ['picture'"),
    (extra_output, FORMAT, "Its outputs are ['augmented', 'noise']"),
    (lying_output, FORMAT, "augmented is made with the shape [2, 2, 8, 8]"),
    (output_out_of_range, FORMAT, "values outside [0, 1]"),
    (duplicate_names, FORMAT, "given to more than one tensor"),
    (cycle, FORMAT, "which nothing before it makes"),
    (subgraph, UNSAFE, "holds a subgraph"),
    (shortcut, FORMAT, "image reaches them past it"),
    (missing_latent, FORMAT, "Its named tensors are ['mean', 'logvar']"),
]
