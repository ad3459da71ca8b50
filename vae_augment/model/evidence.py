"""Evidence that a file carries about itself, bound to its graph and latents by their digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from ..errors import InputError, ModelFormatError
from ..files import atomic_path, check_folder
from .latents import LATENTS_KEY
from .spec import FORMAT_VERSION, Spec
from .strength import STRENGTH

AUDIT = "audit"
PRIVACY = "privacy"
SAMPLES_ONLY = "samples_only"
# What stays true of a file whose weights are rounded: rounding does not see the training images,
# and changes images by far less than strength 1 does.
KEPT_BY_ROUNDING = (PRIVACY, STRENGTH)
BOUND_TO = "weights_sha256"
Evidence = Mapping[str, Mapping[str, Any]]


def weights_digest(model: onnx.ModelProto) -> str:
    """The sha256, in hexadecimal, of a file's graph without metadata, followed by its latents.

    Files of one graph that draw other latents have other digests: what was measured on the samples
    of one says nothing of another's.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True))
    for entry in model.metadata_props:
        if entry.key == LATENTS_KEY:
            digest.update(entry.value.encode())
    return digest.hexdigest()


def write_metadata(model: onnx.ModelProto, spec: Spec) -> None:
    """Replace the metadata of `model`, its evidence bound to its graph and latents, in place."""
    onnx.helper.set_model_props(model, spec.to_metadata())
    if spec.evidence:
        bound = bind(spec.evidence, weights_digest(model))
        onnx.helper.set_model_props(model, replace(spec, evidence=bound).to_metadata())


def bind(evidence: Evidence, digest: str) -> dict[str, dict[str, Any]]:
    """The entries, each with the digest of the graph and latents that it is about."""
    return {name: {**entry, BOUND_TO: digest} for name, entry in evidence.items()}


def check_evidence(evidence: Evidence, model: onnx.ModelProto) -> None:
    """Raise `ModelFormatError` for evidence that is about another file than `model`."""
    digest = weights_digest(model) if evidence else ""
    for name, entry in evidence.items():
        if entry.get(BOUND_TO) != digest:
            raise ModelFormatError(
                f"Its evidence {name[:100]!r} is about other weights or latents than those of this "
                "file. Export the model again."
            )


def add_evidence(path: Path, content: bytes, spec: Spec, added: Evidence) -> None:
    """Write further evidence into the file at `path`, atomically; see `with_evidence`.

    Raises:
        InputError: the file no longer has this content, or its folder cannot be written.
    """
    if path.read_bytes() != content:
        raise InputError(
            f"{path} has changed since it was read, so nothing was written into it. Start again."
        )
    check_folder(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(with_evidence(content, spec, added))


def with_evidence(content: bytes, spec: Spec, added: Evidence) -> bytes:
    """The bytes of a file with further evidence; entries of the same name are replaced.

    Args:
        content: the bytes of the file.
        spec: its spec.
        added: entries by name, each a JSON object.
    """
    model = onnx.load_from_string(content)
    evidence = {**spec.evidence, **added}
    write_metadata(model, replace(spec, evidence=evidence, format_version=FORMAT_VERSION))
    return model.SerializeToString(deterministic=True)
