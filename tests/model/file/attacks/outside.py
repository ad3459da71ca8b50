"""Files that reach for something outside themselves."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

Maker = Callable[[ModelProto, Path], Path]


def save(model: ModelProto, folder: Path) -> Path:
    path = folder / "attack.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def set_images_aside(model: ModelProto) -> None:
    """Call the images "real.augmented", so that another node can make "augmented"."""
    for node in model.graph.node:
        node.output[:] = ["real.augmented" if name == "augmented" else name for name in node.output]


def with_external(model: ModelProto, location: str) -> ModelProto:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def path_traversal(model: ModelProto, folder: Path) -> Path:
    """Weights from a parent folder."""
    return save(with_external(model, "../../../../etc/passwd"), folder)


def absolute_path(model: ModelProto, folder: Path) -> Path:
    """Weights from anywhere."""
    return save(with_external(model, "/etc/passwd"), folder)


def symbolic_link(model: ModelProto, folder: Path) -> Path:
    """Weights beside the file, which lead elsewhere."""
    (folder / "weights.bin").symlink_to("/etc/passwd")
    return save(with_external(model, "weights.bin"), folder)


def hard_link(model: ModelProto, folder: Path) -> Path:
    """The same by a hard link, which onnxruntime follows."""
    (folder / "secret").write_bytes(bytes(1 << 16))
    os.link(folder / "secret", folder / "weights.bin")
    return save(with_external(model, "weights.bin"), folder)


def memory_address(model: ModelProto, folder: Path) -> Path:
    """onnxruntime's own marker for weights at an address of the process."""
    return save(with_external(model, "*/_ORT_MEM_ADDR_/*"), folder)


def external_in_a_constant(model: ModelProto, folder: Path) -> Path:
    """External data in a node's attribute, where a look at the initializers does not find it."""
    tensor = onnx.helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["t"], value=tensor))
    return save(model, folder)


def named_pipe(model: ModelProto, folder: Path) -> Path:
    """A pipe without a writer: to open it is to wait for ever."""
    os.mkfifo(folder / "attack.onnx")
    return folder / "attack.onnx"


def directory(model: ModelProto, folder: Path) -> Path:
    """A folder named like a file."""
    (folder / "attack.onnx").mkdir()
    return folder / "attack.onnx"


EXTERNAL = ("UnsafeModelError", "keeps its data outside the file")
ATTACKS = [
    *(
        (maker, *EXTERNAL)
        for maker in (path_traversal, absolute_path, symbolic_link, hard_link, memory_address)
    ),
    (external_in_a_constant, *EXTERNAL),
    (named_pipe, "UnsafeModelError", "is not a regular file"),
    (directory, "UnsafeModelError", "is not a regular file"),
]
