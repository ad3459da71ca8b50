"""The facts about a model and their form in the file's metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ModelFormatError
from .latents import LATENTS_KEY, Latents

FORMAT_VERSIONS = (1, 2)  # 2 is for models that are conditioned on an image
SPEC_KEY = "vae_augment.spec"
MAX_SPEC_BYTES = 64 * 1024
INNER = ("mean", "logvar", "latent")  # the tensors at which the graph can be cut
UINT8_SCALE = 255.999  # images in [0, 1] times this, rounded down, are uint8: as torchvision's to_dtype(scale=True)
MAX_SIDE, MAX_CHANNELS, MAX_LATENT, MAX_CLASSES = 1024, 16, 4096, 10_000
MAX_NAME = 200  # characters of a class name


@dataclass(frozen=True)
class Spec:
    """What a model is. Images are float32 in [0, 1] of shape `image_shape` = (channels, height, width).

    A model may have `classes` without being `conditional`: its latents are then grouped by class,
    but neither the encoder nor the decoder takes a label.

    A model that is `image_conditional` redraws images: it encodes an image to the prior p(z|x) of
    other images of the class, and its decoder takes the image as well as the latent. It knows no
    classes.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    classes: tuple[str, ...] = ()
    conditional: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    exporter: str = ""
    image_conditional: bool = False
    latents: Latents | None = field(default=None, repr=False, compare=False)

    def check(self) -> None:
        """Raise `ModelFormatError` for what `from_metadata` would refuse, without looking at the latents."""
        _checked(_parsed(replace(self, latents=None).to_metadata()))

    @property
    def format_version(self) -> int:
        """The version of the file format that such a model needs."""
        return 2 if self.image_conditional else 1

    @property
    def generates_classes(self) -> bool:
        """Whether samples of a given class can be drawn."""
        return bool(self.classes) and (self.conditional or self.latents is not None)

    def to_metadata(self) -> dict[str, str]:
        """The file's metadata entries for this spec."""
        facts = {key: getattr(self, key) for key in _keys(self.format_version)}
        metadata = {SPEC_KEY: json.dumps(facts, sort_keys=True)}
        return (
            metadata if self.latents is None else metadata | {LATENTS_KEY: self.latents.to_text()}
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Spec":
        """Read what `to_metadata` wrote.

        `ModelFormatError` for anything else, such as another format version.
        """
        facts = _checked(_parsed(metadata))
        del facts["format_version"]
        spec = cls(**facts)
        if LATENTS_KEY not in metadata:
            return spec
        if spec.image_conditional:  # its noise is N(0, I)
            raise ModelFormatError(
                "The model is conditioned on an image, but has latents, which must be left out."
            )
        return replace(
            spec,
            latents=Latents.from_text(metadata[LATENTS_KEY], spec.latent_dim, len(spec.classes)),
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
    if facts.get("format_version") not in FORMAT_VERSIONS:
        raise ModelFormatError(
            f"The file has format version {facts.get('format_version')!r}; this vae-augment reads "
            "1 and 2. Export the model again, or install the version of vae-augment that made it."
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
    """The class names that the format does not allow.

    Repeated, too long, or with a line break or no-break space.
    """
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
    "image_conditional": lambda value: value is True,
}


def _keys(version: int) -> set[str]:
    """The keys of a spec of this format version."""
    return _SCHEMA.keys() - ({"image_conditional"} if version == 1 else set())


def _checked(facts: dict[str, Any]) -> dict[str, Any]:
    expected = _keys(facts["format_version"])
    if facts.keys() != expected:
        raise ModelFormatError(
            f"{SPEC_KEY} has the keys {sorted(facts)}; expected {sorted(expected)}."
        )
    for key in expected:
        if not _SCHEMA[key](facts[key]):
            raise ModelFormatError(
                f"{SPEC_KEY}: {key} is {str(facts[key])[:100]!r}, which the format does not allow."
            )
    if facts["conditional"] and not facts["classes"]:
        raise ModelFormatError(f"{SPEC_KEY}: the model is conditional but names no classes.")
    if "image_conditional" in facts and facts["classes"]:
        raise ModelFormatError(
            f"{SPEC_KEY}: the model is conditioned on an image, but names classes."
        )
    return facts | {"image_shape": tuple(facts["image_shape"]), "classes": tuple(facts["classes"])}


def part_interface(part: str, spec: Spec) -> tuple[list[str], list[str]]:
    """The names of the inputs and outputs of a part: "whole", "encoder" or "decoder"."""
    inputs, outputs = {
        "whole": (["image", "noise", "strength"], ["augmented"]),
        "encoder": (["image"], ["mean", "logvar"]),
        "decoder": (["latent", "image"] if spec.image_conditional else ["latent"], ["augmented"]),
    }[part]
    return inputs + ["label"] * spec.conditional, outputs
