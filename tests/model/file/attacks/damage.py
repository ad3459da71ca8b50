"""Files that are broken, or something else."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from tests.model.file.attacks.outside import save


def put(folder: Path, content: bytes) -> Path:
    (folder / "attack.onnx").write_bytes(content)
    return folder / "attack.onnx"


def empty(model: ModelProto, folder: Path) -> Path:
    """Nothing."""
    return put(folder, b"")


def truncated(model: ModelProto, folder: Path) -> Path:
    """Half a file."""
    content = model.SerializeToString()
    return put(folder, content[: len(content) // 2])


def random_bytes(model: ModelProto, folder: Path) -> Path:
    """Noise."""
    return put(folder, np.random.default_rng(0).bytes(10_000))


def pickled(model: ModelProto, folder: Path) -> Path:
    """A pickle, which would run code."""
    return put(folder, pickle.dumps({"weights": [1.0] * 100}))


def zipped(model: ModelProto, folder: Path) -> Path:
    """A zip archive, as torch.save makes."""
    with zipfile.ZipFile(folder / "attack.onnx", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02.")
    return folder / "attack.onnx"


def flatbuffer(model: ModelProto, folder: Path) -> Path:
    """onnxruntime's own format, which it knows by its bytes."""
    return put(folder, b"\x18\x00\x00\x00ORTM" + bytes(200))


def nan_weights(model: ModelProto, folder: Path) -> Path:
    """Weights that are not numbers."""
    tensor = model.graph.initializer[0]
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    return save(model, folder)


def short_weights(model: ModelProto, folder: Path) -> Path:
    """A tensor with fewer bytes than its shape takes."""
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    return save(model, folder)


def text_weights(model: ModelProto, folder: Path) -> Path:
    """A tensor of strings."""
    model.graph.initializer.append(onnx.helper.make_tensor("text", TensorProto.STRING, [1], [b"x"]))
    return save(model, folder)


def operator_not_utf8(model: ModelProto, folder: Path) -> Path:
    """An operator's name that is not text."""
    content = model.SerializeToString()
    return put(folder, content.replace(b"Sigmoid", b"Sigm\xff\xfed"))


FORMAT, UNSAFE = "ModelFormatError", "UnsafeModelError"
ATTACKS = [
    (empty, FORMAT, "IR version 0"),
    (truncated, FORMAT, "it ends early"),
    (random_bytes, FORMAT, "not a readable ONNX file"),
    (pickled, FORMAT, "not a readable ONNX file"),
    (zipped, FORMAT, "not a readable ONNX file"),
    (flatbuffer, FORMAT, "not a readable ONNX file"),
    (nan_weights, FORMAT, "not finite"),
    (short_weights, FORMAT, "bytes; its shape takes"),
    (text_weights, UNSAFE, "has element type 8"),
    (operator_not_utf8, UNSAFE, "the operator b'Sigm"),
]
