"""Read, check and cut an untrusted .onnx file. The rules are in `structure`, `allowed` and `cost`."""

import hashlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelFormatError, NotFoundError, UnsafeModelError
from ..spec import LATENTS_KEY, SPEC_KEY, Spec, part_interface
from .allowed import check_contents, check_interface
from .cost import check_cost
from .structure import check_structure

if TYPE_CHECKING:
    import onnx

BUNDLED = ("mnist", "fashion-mnist")
_BUNDLED_FOLDER = Path(__file__).parents[1].absolute() / "models"
MAX_FILE_BYTES = 64 * 1024 * 1024


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
        NotFoundError: neither.
    """
    if name in BUNDLED:
        return _BUNDLED_FOLDER / f"{name}.onnx"
    path = Path(name)
    if not path.exists():
        raise NotFoundError(
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
        spec = _check(content, frozenset(allow_ops))
    except ModelFormatError as error:
        raise type(error)(f"{path} was refused. {error}") from None
    return ModelFile(path=path, sha256=digest, spec=spec, content=content)


def cut(content: bytes, part: str, conditional: bool) -> bytes:
    """Cut the encoder or the decoder out of a whole model."""
    import onnx.utils

    extractor = onnx.utils.Extractor(onnx.load_from_string(content))
    return bytes(extractor.extract_model(*part_interface(part, conditional)).SerializeToString())


def _check(content: bytes, allow_ops: frozenset[str]) -> Spec:
    """Every rule, in the order that keeps the next one cheap."""
    check_structure(content)
    model = _parse(content)
    try:
        check_contents(model, allow_ops)
        spec = Spec.from_metadata(_metadata(model))
        check_interface(model.graph, spec)
        check_cost(model)
    except UnicodeDecodeError:
        raise ModelFormatError("It holds text that is not UTF-8.") from None
    return spec


def _read_once(path: Path) -> bytes:
    # The checks hold for this open file, whatever happens to its name; a pipe must not make us wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeModelError(f"{path} is not a regular file.")
        if facts.st_size > MAX_FILE_BYTES:
            raise UnsafeModelError(f"{path} has {facts.st_size} bytes; at most {MAX_FILE_BYTES} are read.")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES)
    finally:
        os.close(descriptor)


def _parse(content: bytes) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_from_string(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"It is not a readable ONNX file ({error}). Copy or export it again.") from None


def _metadata(model: "onnx.ModelProto") -> dict[str, str]:
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    keys = [key for key, _ in entries]
    if len(keys) != len(set(keys)) or not set(keys) <= {SPEC_KEY, LATENTS_KEY}:
        raise ModelFormatError(
            f"Its metadata keys are {[key[:40] for key in keys][:8]}; the format has {SPEC_KEY} and {LATENTS_KEY}."
        )
    return dict(entries)
