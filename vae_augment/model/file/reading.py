"""Read, check and cut an untrusted .onnx file, by the rules of the files beside this one."""

import hashlib
import os
import stat
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx.external_data_helper
import onnx.utils
from google.protobuf.message import DecodeError

from ...errors import ModelFormatError, NotFoundError, UnsafeModelError, suggestion
from ..evidence import check_evidence
from ..latents import LATENTS_KEY
from ..spec import SPEC_KEY, Spec, part_interface
from .allowed import IR_VERSIONS, OPSETS, check_contents, check_interface
from .bundled import BUNDLED, BUNDLED_FOLDER, EARLIER_DIGESTS, REPLACED_DIGESTS
from .cost import check_cost
from .residual import residual_model
from .structure import check_structure

MAX_FILE_BYTES = 64 * 1024 * 1024
# Exporters write the lines of the program beside each node.
MAX_FOREIGN_STRUCTURE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class ModelFile:
    """A file that passed every check. `content` are the bytes that were checked."""

    path: Path
    sha256: str
    spec: Spec
    content: bytes = field(repr=False)

    def part(self, name: str) -> bytes:
        """The model "whole", or a part that is cut out of it or made of such parts.

        "encoder" (image -> mean, logvar), "decoder" (latent -> image) or "residual", which takes
        what "whole" takes: see `residual_model`.
        """
        if name == "whole":
            return self.content
        extractor = onnx.utils.Extractor(onnx.load_from_string(self.content))
        if name != "residual":
            part = extractor.extract_model(*part_interface(name, self.spec))
            return bytes(part.SerializeToString())
        inputs, _ = part_interface("residual", self.spec)
        encoder = extractor.extract_model(inputs, ["mean", "latent"])
        decoder = extractor.extract_model(*part_interface("decoder", self.spec))
        joined = residual_model(encoder, decoder, self.spec.conditional)
        return bytes(joined.SerializeToString())


def find_model(name: str | os.PathLike[str]) -> Path:
    """The path of a bundled model, given by name, or of an .onnx file.

    `NotFoundError` when there is none.
    """
    if name in BUNDLED:
        return BUNDLED_FOLDER / f"{name}.onnx"
    path = Path(name)
    if not path.exists():
        raise NotFoundError(
            f"There is no model {str(name)!r}: it is neither a bundled name "
            f"({', '.join(BUNDLED)}) nor an existing file.{suggestion(name, BUNDLED)} Make a file "
            "with: vae-augment export CHECKPOINT -o model.onnx"
        )
    if path.suffix == ".safetensors":
        raise ModelFormatError(
            f"{path} is a checkpoint of a training, not a model file. "
            f"Run first: vae-augment export {path} -o {path.with_suffix('.onnx')}"
        )
    return path


def model_reference(path: Path) -> str:
    """The argument with which `find_model` finds `path`: a bundled name, else the path."""
    return path.stem if path.parent == BUNDLED_FOLDER and path.stem in BUNDLED else str(path)


def read_model(
    path: Path, *, sha256: str | None = None, allow_ops: Collection[str] = ()
) -> ModelFile:
    """Read `path` once, check the bytes and return them with their spec.

    Arguments and errors are those of `load`.
    """
    content, digest = _read_with_digest(path, sha256)
    return ModelFile(path, digest, _checked_spec(path, content, allow_ops), content)


def check_model(path: Path, content: bytes) -> ModelFile:
    """Check bytes that a file at `path` holds among others; errors are those of `load`."""
    digest = hashlib.sha256(content).hexdigest()
    return ModelFile(path, digest, _checked_spec(path, content, ()), content)


def _checked_spec(path: Path, content: bytes, allow_ops: Collection[str]) -> Spec:
    try:
        return _check(content, frozenset(allow_ops))
    except ModelFormatError as error:
        raise type(error)(f"{path} was refused. {error}") from None


def read_checked(path: Path, sha256: str, spec: Spec) -> ModelFile:
    """Read a file whose bytes passed every check before, here or in another process.

    Args:
        sha256: the digest of the bytes that were checked.
        spec: what was found in them.

    Raises:
        UnsafeModelError: the file has other bytes by now.
    """
    content, digest = _read_with_digest(path, sha256)
    return ModelFile(path=path, sha256=digest, spec=spec, content=content)


def read_foreign(path: Path) -> onnx.ModelProto:
    """Read an .onnx file of any other origin, with the weights beside it.

    What does not need its shapes is checked.

    Raises:
        NotFoundError, ModelFormatError, UnsafeModelError: as for `load`.
    """
    if not path.exists():
        raise NotFoundError(f"There is no file {path}.")
    try:
        content = _read_once(path)
        check_structure(content, MAX_FOREIGN_STRUCTURE_BYTES)
        model = _parse(content)
        _load_external(model, path.parent)
        for node in model.graph.node:
            # Some exporters write inputs that are left out.
            while node.input and not node.input[-1]:
                node.input.pop()
        check_contents(
            model, opsets=range(7, OPSETS[-1] + 1), ir_versions=range(3, IR_VERSIONS[-1] + 1)
        )
    except (ModelFormatError, ValueError) as error:
        kind = type(error) if isinstance(error, ModelFormatError) else ModelFormatError
        raise kind(f"{path} cannot be read as ONNX: {error}") from None
    return model


def _load_external(model: onnx.ModelProto, folder: Path) -> None:
    """Load weights from files of the same folder, no more than a model file may have."""
    total = 0
    for tensor in model.graph.initializer:
        if not onnx.external_data_helper.uses_external_data(tensor):
            continue
        facts = onnx.external_data_helper.ExternalDataInfo(tensor)
        place = folder / facts.location
        if not place.is_file() or facts.length is None:
            raise UnsafeModelError(
                f"Tensor {tensor.name[:100]!r} is not in a file beside the model, or has no length."
            )
        total += facts.length
        if facts.length < 0 or total > MAX_FILE_BYTES:
            raise UnsafeModelError(
                f"More than {MAX_FILE_BYTES} bytes of weights are outside the file."
            )
        try:
            # It stays in the folder.
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (onnx.checker.ValidationError, OSError, RuntimeError) as error:
            raise ModelFormatError(
                f"Tensor {tensor.name[:100]!r} cannot be read: {str(error)[:200]!r}"
            ) from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _read_with_digest(path: Path, sha256: str | None) -> tuple[bytes, str]:
    """The bytes and their digest; `UnsafeModelError` where that is not `sha256`."""
    content = _read_once(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and sha256.lower() != digest:
        _check_earlier(path, digest, sha256.lower())
    return content, digest


def _check_earlier(path: Path, digest: str, expected: str) -> None:
    """Accept the digest that a bundled file had before; warn where it was another model.

    `UnsafeModelError` for any other.
    """
    name = model_reference(path.absolute())
    if EARLIER_DIGESTS.get(expected) == name:
        return
    if REPLACED_DIGESTS.get(expected) != name:
        raise UnsafeModelError(
            f"{path} has sha256 {digest}, expected {expected}: it is not the file that was meant."
        )
    warnings.warn(
        f"The bundled {name!r} has changed since its digest {expected[:12]}... was written "
        "down. It is used as it is now, and gives other bytes than then. For the same bytes, load "
        "the earlier file by its path.",
        stacklevel=2,
    )


def _check(content: bytes, allow_ops: frozenset[str]) -> Spec:
    """Apply every rule; the order keeps each one cheap."""
    check_structure(content)
    model = _parse(content)
    try:
        check_contents(model, allow_ops)
        spec = Spec.from_metadata(_metadata(model))
        check_evidence(spec.evidence, model)
        check_interface(model.graph, spec)
        check_cost(model)
    except UnicodeDecodeError:
        raise ModelFormatError("It holds text that is not UTF-8.") from None
    return spec


def _read_once(path: Path) -> bytes:
    # One open file for all checks, as the path may change meanwhile; not blocking, as a pipe would
    # wait for a writer.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeModelError(f"{path} is not a regular file.")
        if facts.st_size > MAX_FILE_BYTES:
            raise UnsafeModelError(
                f"{path} has {facts.st_size} bytes; at most {MAX_FILE_BYTES} are read."
            )
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES)
    finally:
        os.close(descriptor)


def _parse(content: bytes) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"It is not a readable ONNX file ({error}). Copy or export it again."
        ) from None


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    keys = [key for key, _ in entries]
    if len(keys) != len(set(keys)) or not set(keys) <= {SPEC_KEY, LATENTS_KEY}:
        raise ModelFormatError(
            f"Its metadata keys are {[key[:40] for key in keys][:8]}; the format has {SPEC_KEY} "
            f"and {LATENTS_KEY}."
        )
    return dict(entries)
