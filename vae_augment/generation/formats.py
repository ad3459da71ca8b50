"""Five ways to write a shard, each by the library that owns the format.

A writer gets the paths of the shard's files, in the order of its `names`, and the same plan always gives the same
bytes: no clock, no user, no random name gets into a file. Every name starts with "train", where readers look for it.
"""

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from .plan import Plan

Pixels = NDArray[np.uint8]  # [N, C, H, W]
PICTURES = (1, 3)  # the channels that a PNG can have here
PNG_LEVEL = 1  # measured on MNIST: level 9 takes twice the time for 5 % fewer bytes
UNLABELLED = "unlabelled"  # ImageFolder needs a class folder even where there are no classes


@dataclass(frozen=True)
class Format:
    """How a shard is written.

    Attributes:
        names: (plan, shard) -> the names of the shard's files below the output folder.
        write: (plan, shard, images, paths) writes those files.
        channels: the numbers of channels that it can hold.
        byte_labels: True when a label is one byte.
        packages: what it needs besides NumPy.
        extra: the extra of vae-augment that brings them.
    """

    names: Callable[["Plan", int], list[str]]
    write: Callable[["Plan", int, Pixels, Sequence[Path]], None]
    channels: Sequence[int] = PICTURES
    byte_labels: bool = False
    packages: tuple[str, ...] = ()
    extra: str = ""


def _stem(plan: "Plan", shard: int) -> str:
    return f"train-{shard:05d}-of-{plan.shards:05d}"


def _one_file(ending: str) -> Callable[["Plan", int], list[str]]:
    return lambda plan, shard: [f"{_stem(plan, shard)}.{ending}"]


def _keys(plan: "Plan", shard: int) -> list[str]:
    width = len(str(plan.count - 1))
    return [f"{index:0{width}d}" for index in plan.span(shard)]


def _write_npz(plan: "Plan", shard: int, images: Pixels, paths: Sequence[Path]) -> None:
    labels = plan.labels_of(shard)
    known = {} if labels is None else {"labels": labels, "classes": np.array(plan.classes)}
    np.savez_compressed(paths[0], images=images, **known)  # type: ignore[arg-type]


def _idx_names(plan: "Plan", shard: int) -> list[str]:
    raw = f"{_stem(plan, shard)}/MNIST/raw"
    # torchvision's MNIST opens a folder only when the files of the test part are there too.
    return [f"{raw}/{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]


def _write_idx(plan: "Plan", shard: int, images: Pixels, paths: Sequence[Path]) -> None:
    labels = plan.labels_of(shard)
    assert labels is not None  # a plan without labels is refused for this format
    arrays: list[NDArray[np.integer]] = [images[:, 0], labels, images[:0, 0], labels[:0]]
    for path, array in zip(paths, arrays, strict=True):
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        path.write_bytes(header + array.astype(np.uint8).tobytes())


def _imagefolder_names(plan: "Plan", shard: int) -> list[str]:
    labels, width = plan.labels_of(shard), len(str(len(plan.classes) - 1))
    # ImageFolder sorts folders as strings, so that only padded indices give back our labels.
    folders = [UNLABELLED] * len(plan.span(shard)) if labels is None else [f"{label:0{width}d}" for label in labels]
    return [f"train/{folder}/{key}.png" for folder, key in zip(folders, _keys(plan, shard), strict=True)]


def _write_imagefolder(plan: "Plan", shard: int, images: Pixels, paths: Sequence[Path]) -> None:
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(_png(image))


def _write_parquet(plan: "Plan", shard: int, images: Pixels, paths: Sequence[Path]) -> None:
    import pyarrow
    from pyarrow import parquet

    keys, labels = _keys(plan, shard), plan.labels_of(shard)
    rows = [{"bytes": _png(image), "path": f"{key}.png"} for key, image in zip(keys, images, strict=True)]
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {"image": pyarrow.array(rows, picture)}
    features: dict[str, object] = {"image": {"_type": "Image"}}
    if labels is not None:
        columns["label"] = pyarrow.array(labels)
        features["label"] = {"_type": "ClassLabel", "names": list(plan.classes)}
    # What Hugging Face's `datasets` reads the types of columns from.
    facts = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(facts), paths[0])


def _write_webdataset(plan: "Plan", shard: int, images: Pixels, paths: Sequence[Path]) -> None:
    from webdataset import TarWriter

    labels = plan.labels_of(shard)
    with open(paths[0], "wb") as file, TarWriter(file, mtime=0, encoder=False) as tar:
        for row, (key, image) in enumerate(zip(_keys(plan, shard), images, strict=True)):
            label = {} if labels is None else {"cls": b"%d" % labels[row]}
            tar.write({"__key__": key, "png": _png(image), **label})


def _png(image: Pixels) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
    picture.save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()


FORMATS = {
    "npz": Format(_one_file("npz"), _write_npz, channels=range(1, 1 << 16)),
    "idx": Format(_idx_names, _write_idx, channels=(1,), byte_labels=True),
    "imagefolder": Format(_imagefolder_names, _write_imagefolder, packages=("pillow",)),
    "parquet": Format(_one_file("parquet"), _write_parquet, packages=("pillow", "pyarrow"), extra="parquet"),
    "webdataset": Format(_one_file("tar"), _write_webdataset, packages=("pillow", "webdataset"), extra="webdataset"),
}
