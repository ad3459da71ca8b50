"""What is to be generated: all that a byte of the output depends on, and nothing else."""

import dataclasses
import json
import operator
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError
from ..modelfile import ModelFile
from ..sampling import UNKNOWN, LabelPolicy, Labels, parse_labels
from ..sessions import runtime_version
from .formats import FORMATS, Format

BLOCK_IMAGES, BLOCK_VALUES = 128, 2**19  # the largest run of the decoder: about as much as a core's cache holds
BLOCKS_PER_SHARD = 80  # of the default shard: 10,240 images of MNIST's size, never more than 40 MiB of pixels
SEED_LIMIT = 2**64


@dataclass(frozen=True)
class Plan:
    """A data set that is wholly determined: equal plans give equal bytes on machines of one kind. See `make_plan`.

    Attributes:
        model: the sha256 of the model file.
        image_shape, classes: of the model.
        count: how many images there will be.
        labels: the class of each image, as a function of its index.
        seed: as for `VAESyntheticDataset`.
        format: a key of `FORMATS`.
        shard_size: images a shard; the last one may have fewer.
        versions: of everything that has a say in the bytes.
    """

    model: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    count: int
    labels: LabelPolicy
    seed: int
    format: str
    shard_size: int
    versions: Mapping[str, str]

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)

    @property
    def block(self) -> int:
        """Images in one run of the decoder. Blocks lie at multiples of it, so that an image always meets the same
        neighbours, whatever the shard size: onnxruntime promises equal rows only for equal inputs.
        """
        return block_size(self.image_shape)

    @property
    def has_labels(self) -> bool:
        """False for a model without classes."""
        return self.labels.choices != (UNKNOWN,)

    def span(self, shard: int) -> range:
        """The indices of a shard's images."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.count))

    def labels_of(self, shard: int) -> NDArray[np.int64] | None:
        """The labels of a shard's images, or None for a model without classes."""
        span = self.span(shard)
        return self.labels.at(np.arange(span.start, span.stop), self.seed) if self.has_labels else None

    def to_json(self) -> dict[str, Any]:
        """The plan as what JSON gives back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` wrote; KeyError or TypeError for anything else."""
        choices, cumulative = facts["labels"]["choices"], facts["labels"]["cumulative"]
        labels = LabelPolicy(tuple(choices), None if cumulative is None else tuple(cumulative))
        shape, classes = tuple(facts["image_shape"]), tuple(facts["classes"])
        return cls(**{**facts, "labels": labels, "image_shape": shape, "classes": classes})


def make_plan(
    model: ModelFile,
    n: int,
    *,
    format: str = "npz",  # noqa: A002
    labels: Labels = "balanced",
    seed: int = 0,
    shard_size: int | None = None,
) -> Plan:
    """Plan n images.

    Args:
        model: a checked model file.
        n: how many images, at least 1.
        format: "npz", "idx", "imagefolder", "parquet" or "webdataset".
        labels, seed: as for `VAESyntheticDataset`, whose image i is image i of the plan.
        shard_size: images a shard; None = about 40 MiB of pixels, 10,240 images of MNIST's size.

    Raises:
        InputError: a number out of range, an unknown class or format, a format that cannot hold such images, or one
            whose library is not installed.
    """
    spec = model.spec
    size = BLOCKS_PER_SHARD * block_size(spec.image_shape) if shard_size is None else shard_size
    for name, value in {"n": n, "shard_size": size}.items():
        if operator.index(value) < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")
    if not 0 <= seed < SEED_LIMIT:
        raise InputError(f"seed is {seed}; it must lie in 0..{SEED_LIMIT - 1}.")
    policy = parse_labels(labels, spec)
    versions = _versions(_checked_format(format, spec.image_shape[0], policy))
    return Plan(model.sha256, spec.image_shape, spec.classes, n, policy, seed, format, size, versions)


def block_size(image_shape: tuple[int, int, int]) -> int:
    """Images in one run of the decoder; a function of their shape alone."""
    return max(1, min(BLOCK_IMAGES, BLOCK_VALUES // int(np.prod(image_shape))))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two plans in JSON form, one phrase an entry."""
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    return [f"{key} is {_short(there.get(key))} there and {_short(here.get(key))} here" for key in keys]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _checked_format(name: str, channels: int, labels: LabelPolicy) -> Format:
    if name not in FORMATS:
        raise InputError(f"format is {name!r}; choose one of {', '.join(FORMATS)}.")
    form = FORMATS[name]
    if channels not in form.channels:
        raise InputError(
            f"{name} holds images of {' or '.join(map(str, form.channels))} channels; the model makes {channels}. "
            "Use npz, which holds any."
        )
    low, high = min(labels.choices), max(labels.choices)
    if form.byte_labels and not (low >= 0 and high <= 255):
        raise InputError(f"{name} holds labels from 0 to 255, but here they are {low}..{high}. Use another format.")
    return form


def _versions(form: Format) -> dict[str, str]:
    versions = {"vae-augment": __version__, "onnxruntime": runtime_version(), "numpy": np.__version__}
    versions |= {"zlib": zlib.ZLIB_RUNTIME_VERSION} if form.packages == () else {}
    for package in form.packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise InputError(
                f"This format needs {package}, which is not installed: pip install 'vae-augment[{form.extra}]'"
            ) from None
    return versions
