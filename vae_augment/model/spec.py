"""The facts about a model and their form in the file's metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ModelFormatError
from .facts import Facts
from .kinds import KINDS, SAMPLING, Kind
from .latents import LATENTS_KEY, Latents
from .sampling import MAX_CLASSES as MAX_CLASSES

SPEC_KEY = "vae_augment.spec"
MAX_SPEC_BYTES = 64 * 1024
INNER = ("mean", "logvar", "latent")  # the tensors at which the graph can be cut
MAX_SIDE = 1024
MAX_CHANNELS = 16
MAX_LATENT = 4096
MAX_NAME = 200  # characters of a class name


@dataclass(frozen=True)
class Spec(Facts):
    """The facts about a model and its `kind`: whether it draws images, or redraws given ones."""

    kind: Kind = SAMPLING

    def check(self) -> None:
        """Raise `ModelFormatError` for what `from_metadata` would refuse, but for the latents."""
        kind, facts = _checked(_parsed(replace(self, latents=None).to_metadata()))
        kind.check_facts(facts, has_latents=self.latents is not None)

    @property
    def format_version(self) -> int:
        """The version of the file format that such a model needs."""
        return self.kind.format_version

    @property
    def image_conditional(self) -> bool:
        """Whether the model redraws images that it is given."""
        return "image" in self.kind.decoder_inputs

    def to_metadata(self) -> dict[str, str]:
        """The file's metadata entries for this spec."""
        facts = {key: getattr(self, key) for key in _SCHEMA} | dict(self.kind.marks)
        metadata = {SPEC_KEY: json.dumps(facts, sort_keys=True)}
        if self.latents is not None:
            metadata[LATENTS_KEY] = self.latents.to_text()
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Spec":
        """Read what `to_metadata` wrote.

        `ModelFormatError` for anything else, such as another format version.
        """
        kind, facts = _checked(_parsed(metadata))
        kind.check_facts(facts, has_latents=LATENTS_KEY in metadata)
        shape = tuple(facts["image_shape"])
        classes = tuple(facts["classes"])
        latents = None
        if LATENTS_KEY in metadata:
            latents = Latents.from_text(metadata[LATENTS_KEY], facts["latent_dim"], len(classes))
        return cls(
            image_shape=shape,
            latent_dim=facts["latent_dim"],
            classes=classes,
            conditional=facts["conditional"],
            training=facts["training"],
            exporter=facts["exporter"],
            kind=kind,
            latents=latents,
        )


def _parsed(metadata: Mapping[str, str]) -> dict[str, Any]:
    if SPEC_KEY not in metadata:
        raise ModelFormatError(
            f"The file has no metadata key {SPEC_KEY}, so it is not a vae-augment model. "
            "Make one with: vae-augment export CHECKPOINT -o model.onnx"
        )
    text = metadata[SPEC_KEY]
    if len(text) > MAX_SPEC_BYTES:
        raise ModelFormatError(
            f"{SPEC_KEY} has {len(text)} characters; at most {MAX_SPEC_BYTES} are allowed."
        )
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{SPEC_KEY} is not JSON: {error}.") from None
    if not isinstance(facts, dict):
        raise ModelFormatError(f"{SPEC_KEY} is not a JSON object.")
    versions = [kind.format_version for kind in KINDS]
    if facts.get("format_version") not in versions:
        known = " and ".join(map(str, versions))
        raise ModelFormatError(
            f"The file has format version {facts.get('format_version')!r}; this vae-augment reads "
            f"{known}. Export the model again, or install the version of vae-augment that made it."
        )
    return facts


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_shape(value: object) -> bool:
    limits = (MAX_CHANNELS, MAX_SIDE, MAX_SIDE)
    return isinstance(value, list) and len(value) == 3 and all(map(_is_count, value, limits))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable()


def _is_classes(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CLASSES and not refused_names(value)


def refused_names(names: Sequence[object]) -> list[object]:
    """The class names that the format does not allow: repeated, too long, or not printable."""
    seen: set[str] = set()
    refused = []
    for name in names:
        if not _is_name(name) or name in seen:
            refused.append(name)
        else:
            seen.add(str(name))
    return refused


_SCHEMA = {
    "image_shape": _is_shape,
    "latent_dim": lambda value: _is_count(value, MAX_LATENT),
    "classes": _is_classes,
    "conditional": lambda value: isinstance(value, bool),
    "training": lambda value: isinstance(value, dict),
    "exporter": _is_name,
    "format_version": lambda value: type(value) is int,
}


def _checked(facts: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """The kind of model that the facts describe, and the facts; `ModelFormatError` for others."""
    kind = next(kind for kind in KINDS if kind.format_version == facts["format_version"])
    expected = _SCHEMA.keys() | kind.marks.keys()
    if facts.keys() != expected:
        raise ModelFormatError(
            f"{SPEC_KEY} has the keys {sorted(facts)}; expected {sorted(expected)}."
        )
    for key, value in facts.items():
        is_allowed = _SCHEMA[key](value) if key in _SCHEMA else value is kind.marks[key]
        if not is_allowed:
            raise ModelFormatError(
                f"{SPEC_KEY}: {key} is {str(value)[:100]!r}, which the format does not allow."
            )
    if facts["conditional"] and not facts["classes"]:
        raise ModelFormatError(f"{SPEC_KEY}: the model is conditional but names no classes.")
    return kind, facts


def part_interface(part: str, spec: Spec) -> tuple[list[str], list[str]]:
    """The names of the inputs and outputs of a part: "whole", "encoder" or "decoder"."""
    inputs, outputs = {
        "whole": (["image", "noise", "strength"], ["augmented"]),
        "encoder": (["image"], ["mean", "logvar"]),
        "decoder": (list(spec.kind.decoder_inputs), ["augmented"]),
    }[part]
    return inputs + ["label"] * spec.conditional, outputs
