"""What is to be generated: everything that a byte of the output depends on, and nothing else."""

import dataclasses
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..arguments import check_seed, whole_number
from ..errors import InputError
from ..model.file import ModelFile
from ..model.sampling import UNKNOWN, LabelPolicy, Labels
from ..model.sessions import runtime_version
from ..model.sources import Source
from .formats import FORMATS, Format

# The largest run of the decoder: about as much as a core's cache holds.
BLOCK_IMAGES = 128
BLOCK_VALUES = 2**19
# Of the default shard: 10,240 images of MNIST's size, never more than 40 MiB of pixels.
BLOCKS_PER_SHARD = 80
MAX_SHARDS = 1_000_000  # the manifest lists each


@dataclass(frozen=True)
class Share:
    """The shards that one of `count` jobs makes: `index`, `index + count`, and so on."""

    index: int
    count: int

    def shards(self, plan: "Plan") -> range:
        """The numbers of these shards of `plan`."""
        return range(self.index, plan.shards, self.count)


ALL_SHARDS = Share(0, 1)


@dataclass(frozen=True)
class Plan:
    """A data set that is wholly determined: equal plans give equal bytes on machines of one kind.

    See `make_plan`.

    Raises:
        InputError: a number or label out of range, or a format that is unknown or cannot hold such
            images or labels.
    """

    model: str  # the sha256 of its file
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    count: int
    labels: LabelPolicy
    seed: int
    format: str
    shard_size: int  # images per shard; the last shard may have fewer
    versions: Mapping[str, str]  # of every library that influences the bytes
    originals: str | None = None  # the sha256 of the images to redraw and their labels

    def __post_init__(self) -> None:
        for name, field in {"n": "count", "shard_size": "shard_size"}.items():
            object.__setattr__(self, field, whole_number(name, getattr(self, field), 1))
        if self.shards > MAX_SHARDS:
            raise InputError(
                f"{self.count:,} images in shards of {self.shard_size:,} are {self.shards:,} "
                f"shards; at most {MAX_SHARDS:,} can be managed. Use a shard size of at least "
                f"{self.count // MAX_SHARDS + 1:,}."
            )
        object.__setattr__(self, "seed", check_seed(self.seed))
        choices = self.labels.choices
        weights = self.labels.cumulative or self.labels.choices
        known = {UNKNOWN, *range(len(self.classes))}
        if not choices or not known.issuperset(choices) or len(weights) != len(choices):
            raise InputError(
                f"The labels are {self.labels}; there are {len(self.classes)} classes."
            )
        _check_format(self.format, self.image_shape[0], self.labels)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return (self.count + self.shard_size - 1) // self.shard_size

    def span(self, shard: int) -> range:
        """The indices of a shard's images."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.count))

    def images_of(self, share: Share) -> int:
        """The number of images in a share."""
        return sum(len(self.span(shard)) for shard in share.shards(self))

    def keys(self, shard: int) -> list[str]:
        """The indices of a shard's images as text of one width."""
        width = len(str(self.count - 1))
        return [f"{index:0{width}d}" for index in self.span(shard)]

    def labels_of(self, shard: int) -> NDArray[np.int64] | None:
        """The labels of a shard's images, or None for a model without classes."""
        if self.labels.choices == (UNKNOWN,):
            return None
        span = self.span(shard)
        return self.labels.at(np.arange(span.start, span.stop), self.seed)

    def to_json(self) -> dict[str, Any]:
        """The plan as types that JSON has."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` wrote; LookupError, TypeError or ValueError for anything else."""
        choices = facts["labels"]["choices"]
        weights = facts["labels"]["cumulative"]
        labels = LabelPolicy(
            tuple(choices), None if weights is None else tuple(map(float, weights))
        )
        shape = tuple(facts["image_shape"])
        classes = tuple(facts["classes"])
        return cls(**{**facts, "labels": labels, "image_shape": shape, "classes": classes})


def make_plan(
    model: ModelFile,
    n: int,
    *,
    format: str = "npz",  # noqa: A002
    labels: Labels = "balanced",
    seed: int = 0,
    shard_size: int | None = None,
    source: Source | None = None,
) -> Plan:
    """Plan n images of a checked model file. The other arguments are those of `generate`.

    `source` says what images are made of, in place of `labels`.

    Raises:
        InputError: as `Plan`, or the library of the format is not installed.
    """
    spec = model.spec
    if shard_size is None:
        shard_size = BLOCKS_PER_SHARD * block_size(spec.image_shape)
    if source is None:
        source = spec.kind.source(spec, model.path.stem, labels, None, ())
    plan = Plan(
        model=model.sha256,
        image_shape=spec.image_shape,
        classes=source.classes,
        count=n,
        labels=source.policy,
        seed=seed,
        format=format,
        shard_size=shard_size,
        versions={},
        originals=source.digest(),
    )
    return dataclasses.replace(plan, versions=_versions(FORMATS[format]))


def block_size(image_shape: tuple[int, int, int]) -> int:
    """Images in one run of the decoder; a function of their shape alone.

    Blocks start at multiples of it, so that an image is always decoded with the same others,
    whatever the shard size: onnxruntime promises equal rows only for equal inputs.
    """
    return max(1, min(BLOCK_IMAGES, BLOCK_VALUES // math.prod(image_shape)))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two plans in JSON form, one phrase per entry."""
    phrases = []
    for key in {**there, **here}:
        if there.get(key) != here.get(key):
            value_there = json.dumps(there.get(key))[:200]
            value_here = json.dumps(here.get(key))[:200]
            phrases.append(f"{key} is {value_there} there and {value_here} here")
    return phrases


def _check_format(name: str, channels: int, labels: LabelPolicy) -> None:
    if name not in FORMATS:
        raise InputError(f"format is {name!r}; choose one of {', '.join(FORMATS)}.")
    form = FORMATS[name]
    if channels not in form.channels:
        raise InputError(
            f"{name} holds images of {' or '.join(map(str, form.channels))} channels; the model "
            f"makes {channels}. Use npz, which holds any number."
        )
    low = min(labels.choices)
    high = max(labels.choices)
    if form.byte_labels and not 0 <= low <= high <= 255:
        raise InputError(
            f"{name} holds labels from 0 to 255, but here they are {low}..{high}. Use another "
            "format."
        )


def _versions(form: Format) -> dict[str, str]:
    versions = {
        "vae-augment": __version__,
        "onnxruntime": runtime_version(),
        "numpy": np.__version__,
    }
    if not form.packages:
        versions["zlib"] = zlib.ZLIB_RUNTIME_VERSION
    for package in form.packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise InputError(
                f"This format needs {package}, which is not installed: pip install {package}"
            ) from None
    return versions
