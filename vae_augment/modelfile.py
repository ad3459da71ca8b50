"""Read, check and cut an untrusted .onnx file. Nothing else in the package imports `onnx` at run time.

onnxruntime has no operator allow-list, resolves external data against the working directory and expands nested
functions without a useful limit, so every rule here is applied to the parsed bytes before onnxruntime sees them.
"""

import hashlib
import math
import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ModelFormatError, ModelNotFoundError, UnsafeModelError
from .spec import Spec

if TYPE_CHECKING:
    import onnx

BUNDLED = ("mnist", "fashion-mnist")
_BUNDLED_FOLDER = Path(__file__).parent.absolute() / "models"
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_NODES = 2_000
MAX_ELEMENTS = 1 << 28  # of one declared tensor
OPSETS = range(18, 25)
IR_VERSIONS = range(8, 14)

# What an encoder and a decoder need. No control flow, no random numbers, nothing that makes a large tensor of a small
# one.
ALLOWED_OPS = frozenset(
    "Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace DequantizeLinear "
    "Div Elu Equal Erf Exp Flatten Gather Gelu Gemm GlobalAveragePool GroupNormalization HardSigmoid HardSwish "
    "Identity InstanceNormalization LayerNormalization LeakyRelu Log MatMul Max MaxPool Min Mish Mul Neg PRelu Pad "
    "Pow QuantizeLinear Reciprocal ReduceMean ReduceSum Relu Reshape Resize Selu Shape Sigmoid Slice Softmax Softplus "
    "SpaceToDepth Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze".split(" ")
)


@dataclass(frozen=True)
class ModelFile:
    """A file that passed every check. `content` is the very bytes that were checked."""

    path: Path
    sha256: str
    spec: Spec
    content: bytes = field(repr=False)

    def part(self, name: str) -> bytes:
        """The bytes of one part: "whole", "encoder" (image -> mean, logvar) or "decoder" (latent -> image)."""
        return self.content if name == "whole" else cut(self.content, name, self.spec.conditional)


def find_model(name: str | os.PathLike[str]) -> Path:
    """The path of a bundled model's name or of an .onnx file.

    Raises:
        ModelNotFoundError: neither.
    """
    if name in BUNDLED:
        return _BUNDLED_FOLDER / f"{name}.onnx"
    path = Path(name)
    if not path.exists():
        raise ModelNotFoundError(
            f"There is no model {str(name)!r}: it is neither a bundled name ({', '.join(BUNDLED)}) nor an existing "
            "file. Make a file with: vae-augment export CHECKPOINT -o model.onnx"
        )
    return path


def model_reference(path: Path) -> str:
    """What `find_model` finds `path` by: a bundled name, which means the same on every machine, or the path."""
    return path.stem if path.parent == _BUNDLED_FOLDER and path.stem in BUNDLED else str(path)


def read_model(path: Path, *, sha256: str | None = None, allow_ops: Collection[str] = ()) -> ModelFile:
    """Read `path` once, check the bytes and return them with their spec.

    Args:
        sha256: the digest that the file must have, in hexadecimal; None accepts any.
        allow_ops: operators to allow beside the whitelist, for those who know the file's origin.

    Raises:
        UnsafeModelError: the file breaks a safety rule, or has another digest.
        ModelFormatError: the file is not a vae-augment model, or one of another version.
    """
    content = _read_once(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256.lower():
        raise UnsafeModelError(f"{path} has sha256 {digest}, expected {sha256}: it is not the file that was meant.")
    try:
        model = _parse(content)
        _check_header(model)
        _check_graph(model.graph, frozenset(allow_ops))
        spec = Spec.from_metadata(_metadata(model))
        _check_interface(model.graph, spec)
    except ModelFormatError as error:
        raise type(error)(f"{path} was refused. {error}") from None
    return ModelFile(path=path, sha256=digest, spec=spec, content=content)


def cut(content: bytes, part: str, conditional: bool) -> bytes:
    """Cut the encoder or the decoder out of a whole model."""
    return _extract(content, *part_interface(part, conditional))


def part_interface(part: str, conditional: bool) -> tuple[list[str], list[str]]:
    """The names of a part's inputs and outputs."""
    inputs, outputs = {
        "whole": (["image", "noise", "strength"], ["augmented"]),
        "encoder": (["image"], ["mean", "logvar"]),
        "decoder": (["latent"], ["augmented"]),
    }[part]
    return inputs + ["label"] * conditional, outputs


def _extract(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    import onnx.utils

    extractor = onnx.utils.Extractor(onnx.load_from_string(content))
    return bytes(extractor.extract_model(inputs, outputs).SerializeToString())


def _read_once(path: Path) -> bytes:
    with open(path, "rb") as file:  # the checks below hold for this open file, whatever happens to the name
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeModelError(f"{path} is not a regular file.")
        if facts.st_size > MAX_FILE_BYTES:
            raise UnsafeModelError(f"{path} has {facts.st_size} bytes; at most {MAX_FILE_BYTES} are read.")
        return file.read(MAX_FILE_BYTES + 1)


def _parse(content: bytes) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_from_string(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"It is not a readable ONNX file ({error}). Copy or export it again.") from None


def _check_header(model: "onnx.ModelProto") -> None:
    if model.ir_version not in IR_VERSIONS:
        raise ModelFormatError(f"IR version {model.ir_version} is outside {_span(IR_VERSIONS)}.")
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if set(opsets) != {"ai.onnx"}:
        raise UnsafeModelError(f"It uses the operator domains {sorted(opsets)}; only ai.onnx is allowed.")
    if opsets["ai.onnx"] not in OPSETS:
        raise ModelFormatError(f"Opset {opsets['ai.onnx']} is outside {_span(OPSETS)}.")
    if model.functions or model.training_info:
        raise UnsafeModelError("It holds local functions or training information, which are not allowed.")


def _check_graph(graph: "onnx.GraphProto", allow_ops: frozenset[str]) -> None:
    if len(graph.node) > MAX_NODES:
        raise UnsafeModelError(f"It has {len(graph.node)} nodes; at most {MAX_NODES} are allowed.")
    if graph.sparse_initializer or graph.quantization_annotation:
        raise UnsafeModelError("It holds sparse initializers or quantization annotations, which are not allowed.")
    for node in graph.node:
        _check_node(node, allow_ops)
    for tensor in graph.initializer:
        _check_tensor(tensor)


def _check_node(node: "onnx.NodeProto", allow_ops: frozenset[str]) -> None:
    if node.domain not in ("", "ai.onnx") or node.op_type not in ALLOWED_OPS | allow_ops:
        where = f"{node.domain}." if node.domain else ""
        raise UnsafeModelError(
            f"It uses the operator {where}{node.op_type[:100]}, which is not on the list of allowed ones. "
            "If you trust the file's origin, pass allow_ops."
        )
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
            raise UnsafeModelError(f"Node {node.op_type} holds a subgraph or a sparse tensor, which is not allowed.")
        for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
            _check_tensor(tensor)


def _check_tensor(tensor: "onnx.TensorProto") -> None:
    import numpy as np
    import onnx

    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise UnsafeModelError(f"Tensor {tensor.name[:100]!r} keeps its data outside the file, which is not allowed.")
    elements = math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0 or elements > MAX_ELEMENTS:
        raise UnsafeModelError(f"Tensor {tensor.name[:100]!r} declares the shape {list(tensor.dims)[:8]}.")
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise ModelFormatError(f"Tensor {tensor.name[:100]!r} cannot be read: {error}") from None
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ModelFormatError(f"Tensor {tensor.name[:100]!r} holds values that are not finite (NaN or infinity).")


def _metadata(model: "onnx.ModelProto") -> dict[str, str]:
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    if len(entries) != len(dict(entries)):
        raise ModelFormatError("A metadata key occurs twice.")
    return dict(entries)


def _check_interface(graph: "onnx.GraphProto", spec: Spec) -> None:
    image, latent = list(spec.image_shape), [spec.latent_dim]
    names, _ = part_interface("whole", spec.conditional)
    shapes: dict[str, list[Any]] = {"image": image, "noise": latent, "strength": [], "label": []}
    _check_values("inputs", graph.input, {name: shapes[name] for name in names})
    _check_values("outputs", graph.output, {"augmented": image})
    cuts = {"mean": latent, "logvar": latent, "latent": latent}
    inner = {value.name: value for value in graph.value_info if value.name in cuts}
    _check_values("named tensors", [inner[name] for name in cuts if name in inner], cuts)


def _check_values(kind: str, values: Iterable["onnx.ValueInfoProto"], expected: dict[str, list[int]]) -> None:
    values = list(values)
    if [value.name for value in values] != list(expected):
        raise ModelFormatError(
            f"Its {kind} are {[value.name[:40] for value in values][:8]}, expected {list(expected)}."
        )
    for value in values:
        _check_value(value, expected[value.name])


def _check_value(value: "onnx.ValueInfoProto", tail: list[int]) -> None:
    import onnx

    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or "?") for dim in tensor.shape.dim]
    wanted = onnx.TensorProto.INT64 if value.name == "label" else onnx.TensorProto.FLOAT
    if tensor.elem_type != wanted:
        raise ModelFormatError(f"{value.name} has element type {tensor.elem_type}, expected {wanted}.")
    if not dims or dims[1:] != tail or isinstance(dims[0], int):
        raise ModelFormatError(
            f"{value.name} has the shape {dims[:8]}, expected a free batch axis followed by {tail}. "
            "A fixed batch comes from an export without dynamic shapes."
        )


def _span(numbers: range) -> str:
    return f"{numbers.start}..{numbers.stop - 1}"
