"""Five ways to write a shard, each by the library that owns the format.

The same content always gives the same bytes: no clock, no user and no random name gets into a file.
Every file name starts with "train", because that is where readers look.
"""

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # [N, C, H, W]
PNG_LEVEL = 1  # measured on MNIST: level 9 takes twice the time for 5 % fewer bytes
# torchvision's MNIST opens a folder only when the files of the test part are there too.
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Content:
    """What a writer gets: the images of a shard and what is known about them."""

    images: Pixels
    keys: Sequence[str]  # the index of each image in the data set, padded with zeros
    labels: NDArray[np.int64] | None  # None for a model without classes
    classes: Sequence[str]  # the names of all classes of the model


@dataclass(frozen=True)
class Format:
    """How a shard is written, and which images and labels a file can hold."""

    write: Callable[[Content, Sequence[Path]], None]
    # Of its file names, after the name of the shard; None = a file per image.
    endings: Sequence[str] | None
    channels: Sequence[int] = (1, 3)  # those of a PNG
    byte_labels: bool = False  # True where a label is one byte
    packages: tuple[str, ...] = ()  # needed besides NumPy


def image_names(keys: Sequence[str], labels: NDArray[np.int64] | None, classes: int) -> list[str]:
    """The file names of single images, in folders of their class index."""
    if labels is None:  # ImageFolder needs a class folder all the same
        return [f"train/unlabelled/{key}.png" for key in keys]
    # ImageFolder sorts folders as strings, so only padded indices keep the labels.
    width = len(str(classes - 1))
    return [f"train/{label:0{width}d}/{key}.png" for label, key in zip(labels, keys, strict=True)]


def _write_npz(content: Content, paths: Sequence[Path]) -> None:
    arrays: dict[str, NDArray[Any]] = {"images": content.images}
    if content.labels is not None:
        arrays["labels"] = content.labels
        arrays["classes"] = np.array(content.classes)
    np.savez_compressed(paths[0], **arrays)  # type: ignore[arg-type]


def _write_idx(content: Content, paths: Sequence[Path]) -> None:
    images = content.images[:, 0]
    labels = content.labels
    assert labels is not None  # a plan without labels is refused for this format
    arrays: list[NDArray[np.integer]] = [images, labels, images[:0], labels[:0]]
    for path, array in zip(paths, arrays, strict=True):
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        path.write_bytes(header + array.astype(np.uint8).tobytes())


def _write_imagefolder(content: Content, paths: Sequence[Path]) -> None:
    for path, image in zip(paths, content.images, strict=True):
        path.write_bytes(_png(image))


def _write_parquet(content: Content, paths: Sequence[Path]) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [
        {"bytes": _png(image), "path": f"{key}.png"}
        for key, image in zip(content.keys, content.images, strict=True)
    ]
    image_type = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {"image": pyarrow.array(rows, image_type)}
    features: dict[str, object] = {"image": {"_type": "Image"}}
    if content.labels is not None:
        columns["label"] = pyarrow.array(content.labels)
        features["label"] = {"_type": "ClassLabel", "names": list(content.classes)}
    # Hugging Face's `datasets` reads the types of the columns from this entry.
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), paths[0])


def _write_webdataset(content: Content, paths: Sequence[Path]) -> None:
    from webdataset import TarWriter

    with open(paths[0], "wb") as file, TarWriter(file, mtime=0, encoder=False) as tar:
        for row, key in enumerate(content.keys):
            sample = {"__key__": key, "png": _png(content.images[row])}
            if content.labels is not None:
                sample["cls"] = str(content.labels[row]).encode()
            tar.write(sample)


def _png(image: Pixels) -> bytes:
    is_grey = len(image) == 1
    pixels = image[0] if is_grey else np.ascontiguousarray(image.transpose(1, 2, 0))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()


FORMATS = {
    "npz": Format(_write_npz, [".npz"], channels=range(1, 1 << 16)),
    "idx": Format(
        _write_idx, [f"/MNIST/raw/{name}" for name in IDX_FILES], channels=(1,), byte_labels=True
    ),
    "imagefolder": Format(_write_imagefolder, None, packages=("pillow",)),
    "parquet": Format(_write_parquet, [".parquet"], packages=("pillow", "pyarrow")),
    "webdataset": Format(_write_webdataset, [".tar"], packages=("pillow", "webdataset")),
}
