"""The facts about a model and their form in the file's metadata."""

import functools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ModelFormatError
from .facts import Facts
from .kinds import KINDS, SAMPLING, Kind
from .latents import LATENTS_KEY, Latents
from .sampling import MAX_CLASSES as MAX_CLASSES
from .strength import stated_unit

FORMAT_VERSION = 3  # of what is written; 1 and 2 are read too
SPEC_KEY = "vae_augment.spec"
MAX_SPEC_BYTES = 64 * 1024
INNER = ("mean", "logvar", "latent")  # the tensors at which the graph can be cut
MAX_SIDE = 1024
MAX_CHANNELS = 16
MAX_LATENT = 4096
MAX_NAME = 200  # characters of a class name


@dataclass(frozen=True)
class Spec(Facts):
    """The facts about a model and its `kind`: whether it draws images, or redraws given ones.

    `evidence` is what was measured on the model, by name, each entry a JSON object. Files of the
    format versions 1 and 2 have none.
    """

    kind: Kind = SAMPLING
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def check(self) -> None:
        """Raise `ModelFormatError` for what `from_metadata` would refuse, but for the latents."""
        kind, facts = _checked(_parsed(replace(self, latents=None).to_metadata()))
        kind.check_facts(facts, has_latents=self.latents is not None)
        stated_unit(self.evidence)

    @property
    def strength_unit(self) -> float | None:
        """How many spreads of the posterior strength 1 of `VAEAugment` is; None = not measured."""
        return stated_unit(self.evidence)

    @property
    def image_conditional(self) -> bool:
        """Whether the model redraws images that it is given."""
        return "image" in self.kind.decoder_inputs

    def to_metadata(self) -> dict[str, str]:
        """The file's metadata entries for this spec."""
        facts = {key: getattr(self, key) for key in _COMMON_SCHEMA}
        if self.format_version == FORMAT_VERSION:
            facts |= {"kind": self.kind.name, "evidence": self.evidence}
        else:
            facts |= self.kind.early_marks
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
        evidence = facts.get("evidence", {})
        stated_unit(evidence)
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
            evidence=evidence,
            format_version=facts["format_version"],
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
    if facts.get("format_version") not in range(1, FORMAT_VERSION + 1):
        raise ModelFormatError(
            f"The file has format version {facts.get('format_version')!r}; this vae-augment reads "
            f"1 to {FORMAT_VERSION}. Export the model again, or install the version of "
            "vae-augment that made it."
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


def _is_evidence(value: object) -> bool:
    if not isinstance(value, dict) or not all(map(_is_name, value)):
        return False
    return all(isinstance(entry, dict) for entry in value.values())


Check = Callable[[Any], bool]
_COMMON_SCHEMA: dict[str, Check] = {
    "image_shape": _is_shape,
    "latent_dim": lambda value: _is_count(value, MAX_LATENT),
    "classes": _is_classes,
    "conditional": lambda value: isinstance(value, bool),
    "training": lambda value: isinstance(value, dict),
    "exporter": _is_name,
    "format_version": lambda value: type(value) is int,
}


def _kind_of(facts: Mapping[str, Any]) -> Kind:
    """The kind of model that the facts describe; `ModelFormatError` where there is none."""
    version = facts["format_version"]
    if version != FORMAT_VERSION:
        return next(kind for kind in KINDS if kind.early_version == version)
    for kind in KINDS:
        if kind.name == facts.get("kind"):
            return kind
    raise ModelFormatError(
        f"{SPEC_KEY}: kind is {str(facts.get('kind'))[:100]!r}; this vae-augment knows "
        f"{', '.join(kind.name for kind in KINDS)}."
    )


def _schema(kind: Kind, version: int) -> dict[str, Check]:
    if version == FORMAT_VERSION:
        return _COMMON_SCHEMA | {"kind": _is_name, "evidence": _is_evidence}
    marks: dict[str, Check] = {
        key: functools.partial(operator.is_, mark) for key, mark in kind.early_marks.items()
    }
    return _COMMON_SCHEMA | marks


def _checked(facts: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """The kind of model that the facts describe, and the facts; `ModelFormatError` for others."""
    kind = _kind_of(facts)
    schema = _schema(kind, facts["format_version"])
    if facts.keys() != schema.keys():
        raise ModelFormatError(
            f"{SPEC_KEY} has the keys {sorted(facts)}; expected {sorted(schema)}."
        )
    for key, value in facts.items():
        if not schema[key](value):
            raise ModelFormatError(
                f"{SPEC_KEY}: {key} is {str(value)[:100]!r}, which the format does not allow."
            )
    if facts["conditional"] and not facts["classes"]:
        raise ModelFormatError(f"{SPEC_KEY}: the model is conditional but names no classes.")
    return kind, facts


def part_interface(part: str, spec: Spec) -> tuple[list[str], list[str]]:
    """The names of the inputs and outputs of a part of `ModelFile.part`."""
    inputs, outputs = {
        "whole": (["image", "noise", "strength"], ["augmented"]),
        "residual": (["image", "noise", "strength"], ["augmented"]),
        "encoder": (["image"], ["mean", "logvar"]),
        "decoder": (list(spec.kind.decoder_inputs), ["augmented"]),
    }[part]
    return inputs + ["label"] * spec.conditional, outputs
