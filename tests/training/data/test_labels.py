"""Labels and classes: the same answer in every reader, and no class without images."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from vae_augment import VAESyntheticDataset
from vae_augment.errors import InputError
from vae_augment.exporters import export
from vae_augment.training import FitConfig, ImageData, fit, load_data

from .cases import Case
from .pictures import NOISE, grey

GAPS = "the labels do not count up from 0 without gaps. The classes are"


def npz(labels: Any, **more: Any) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        np.savez(root / "x.npz", images=NOISE, labels=np.array(labels), **more)
        return root / "x.npz"

    return make


def idx(labels: list[int]) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        images = struct.pack(">4B3I", 0, 0, 8, 3, 6, 8, 8) + NOISE.tobytes()
        (root / "train-images-idx3-ubyte").write_bytes(images)
        content = struct.pack(">4BI", 0, 0, 8, 1, 6) + bytes(labels)
        (root / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))
        return root / "train-images-idx3-ubyte"

    return make


def csv(labels: list[Any]) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        lines = [",".join(["label", *(f"pixel{number}" for number in range(64))])]
        for label, image in zip(labels, NOISE.reshape(6, 64), strict=True):
            lines.append(",".join([str(label), *map(str, image)]))
        (root / "x.csv").write_text("\n".join(lines))
        return root / "x.csv"

    return make


def rows(labels: list[Any], kind: Any = None) -> Callable[[Path], datasets.Dataset]:
    def make(root: Path) -> datasets.Dataset:
        column = datasets.Value("int64") if kind is None else kind
        features = datasets.Features(image=datasets.Image(), label=column)
        content = {"image": [grey(row) for row in range(6)], "label": labels}
        return datasets.Dataset.from_dict(content, features=features)

    return make


def given(words: str, labels: Any, expected: list[int], classes: str, **more: Any) -> Case:
    """An .npz with labels."""
    return Case(words, npz(labels), **{"labels": expected, "classes": classes.split(), **more})


TEN = datasets.ClassLabel(num_classes=10)
FIRST, SECOND = [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]
OUT: dict[str, Any] = {"labels": [-1] * 6, "classes": (), "found": "without labels"}
NO_LABELS = {"labels": False}
READERS: dict[str, Callable[[list[int]], Callable[[Path], Any]]] = {
    "npz": npz,
    "idx": idx,
    "csv": csv,
    "rows": rows,
}
KEPT = "classes `3` and `7`, numbered 0 and 1"

CASES = [
    given("0, 1, ...", FIRST, FIRST, "0 1"),
    given("1, 2, 3", [1, 2, 3, 1, 2, 3], [0, 1, 2, 0, 1, 2], "1 2 3",
          found="classes `1`, `2`, `3`, numbered 0 to 2", warning=GAPS),
    given("3 and 7", [3, 7] * 3, FIRST, "3 7", found=KEPT, warning=f"{GAPS} 3, 7, numbered 0 to 1"),
    given("texts", ["dog", "cat"] * 3, SECOND, "cat dog"),
    given("texts that are numbers", ["10", "2", "0"] * 2, [2, 1, 0] * 2, "0 2 10", warning=GAPS,
          found="in the order of the numbers"),
    given("texts with zeros first", ["008", "007"] * 3, SECOND, "007 008"),
    given("bytes", np.array([b"dog", b"cat"] * 3), SECOND, "cat dog"),
    given("0.0, 1.0, ...", [0.0, 1.0] * 3, FIRST, "0 1"),
    given("True and False", [True, False] * 3, SECOND, "False True"),
    given("[N, 1]", [[0], [1]] * 3, FIRST, "0 1"),
    given("-1 for unknown", [0, 1, -1, 1, 0, -1], [0, 1, -1, 1, 0, -1], "0 1"),
    given("NaN for unknown", [0, 1, np.nan] * 2, [0, 1, -1] * 2, "0 1"),
    given("an empty text for unknown", ["a", "", "b"] * 2, [0, -1, 1] * 2, "a b"),
    given("-1 and 1 alone", [-1, 1] * 3, [-1, 0] * 3, "1", found="-1 unknown, one class",
          warning="all labels are -1 or 1, and -1 means unknown"),
    given("all unknown", [-1] * 6, [-1] * 6, "", found="no classes"),
    Case("ten names, two used", npz([3, 7] * 3, classes=np.array(list("0123456789"))), KEPT,
         labels=FIRST, classes=("3", "7"), warning="no image has the class 0, 1, 2, 4"),
    Case("labels from 1 to the number of names", npz([1, 2] * 3, classes=np.array(["a", "b"])),
         "1 is the first name", labels=FIRST, classes=("a", "b"), warning="count from 1"),
    Case("texts, with names", npz(["dog", "cat"] * 3, classes=np.array(["dog", "cat"])),
         "in the order of the names", labels=FIRST, classes=("dog", "cat")),
    Case("labels beyond the names", npz([0, 5] * 3, classes=np.array(["a", "b"])),
         error="image 1: the label 5 has no name among the 2 classes"),
    Case("a text that is no name", npz(["a", "c"] * 3, classes=np.array(["a", "b"])),
         error="image 1: the label 'c' is not among the 2 classes"),
    Case("1.5", npz([0, 1.5, 0, 1, 0, 1]), **OUT, way=NO_LABELS,
         error="image 1: the label 1.5 is not a whole number"),
    Case("-2", npz([0, 0, -2, 0, 0, 0]), **OUT, way=NO_LABELS, error="image 2: the label -2 is"),
    Case("infinity", npz([0, np.inf, 0, 0, 0, 0]), **OUT, way=NO_LABELS, error="the label inf"),
    Case("several per image (ChestMNIST)", npz(np.zeros((6, 14), int)), **OUT, way=NO_LABELS,
         error=r"labels of shape \(6, 14\), several per image.*leave the labels out"),
    Case("one-hot", npz(np.eye(6, dtype=int)), **OUT, way=NO_LABELS, error=r"give labels\.argmax"),
    Case("fewer than images", npz([0, 1, 2]), **OUT, way=NO_LABELS,
         error="do not go with 6 images; give one per image"),
    Case("names and no labels", lambda root: save(root, classes=np.array(["a", "b"])), **OUT,
         way=NO_LABELS, error="no array 'labels', but 'classes'"),
    Case("an array of another name", lambda root: save(root, kind=np.arange(6) % 2), "labels",
         labels=FIRST, warning="the arrays kind are not read", way={"label_column": "kind"}),
]  # fmt: skip


def save(root: Path, **arrays: Any) -> Path:
    np.savez(root / "x.npz", images=NOISE, **arrays)
    return root / "x.npz"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_labels(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        ([0, 1, 0, 1, 0, 1], FIRST, ("0", "1")),
        ([1, 2, 1, 2, 1, 2], FIRST, ("1", "2")),
        ([3, 7, 3, 7, 3, 7], FIRST, ("3", "7")),
        ([9, 5, 9, 5, 9, 5], SECOND, ("5", "9")),
        ([0, 2, 10, 0, 2, 10], [0, 1, 2, 0, 1, 2], ("0", "2", "10")),
        ([4] * 6, [0] * 6, ("4",)),
    ],
)
@pytest.mark.filterwarnings("ignore:.*without gaps")
def test_every_reader_numbers_alike(
    reader: str, labels: list[int], expected: list[int], classes: tuple[str, ...], tmp_path: Path
) -> None:
    data = load_data(READERS[reader](labels)(tmp_path))
    assert (data.labels.tolist(), data.classes) == (expected, classes)


@pytest.mark.parametrize("make", [csv(["dog", "cat"] * 3), npz(["dog", "cat"] * 3)])
def test_texts_alike(make: Callable[[Path], Any], tmp_path: Path) -> None:
    data = load_data(make(tmp_path))
    assert (data.labels.tolist(), data.classes) == (SECOND, ("cat", "dog"))


def test_a_message_names_the_line_of_a_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.csv, line 4: the label 1\.5 is not a whole number"):
        load_data(csv([0, 1, 1.5, 0, 1, 0])(tmp_path))


WAYS = {
    "labels 1..3": npz([1, 2, 3] * 2),
    "labels 3 and 7": npz([3, 7] * 3),
    "ten names": npz([3, 7] * 3, classes=np.array(list("0123456789"))),
    "ten names of Hugging Face": rows([3, 7] * 3, TEN),
    "a table with a gap": csv([3, 7] * 3),
}


@pytest.mark.filterwarnings("ignore:.*numbered", "ignore:.*too few images")
@pytest.mark.parametrize("make", WAYS.values(), ids=WAYS.keys())
def test_a_model_knows_the_classes_that_have_images(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    data = load_data(make(tmp_path))
    config = FitConfig(conditional=True, epochs=1, network="mlp")
    spec = fit(data, tmp_path / "m.safetensors", config).spec
    assert spec.classes == data.classes
    assert set(data.classes) <= {"1", "2", "3", "7"}
    assert spec.latents is not None
    assert len(spec.latents.weights) == len(data.classes)


@pytest.mark.filterwarnings("ignore:.*numbered")
@pytest.mark.filterwarnings("ignore:.*has too few images of")
def test_no_image_is_generated_of_a_class_without_images(tmp_path: Path) -> None:
    data = load_data(npz([3, 7] * 3, classes=np.array(list("0123456789")))(tmp_path))
    config = FitConfig(conditional=True, epochs=1, network="mlp")
    fit(data, tmp_path / "m.safetensors", config)
    export(tmp_path / "m.safetensors", tmp_path / "m.onnx")
    generated = VAESyntheticDataset(tmp_path / "m.onnx", length=60)
    assert list(generated.classes) == ["3", "7"]
    assert generated.targets.unique().tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:.*has too few images of")
def test_fit_refuses_a_class_without_images(tmp_path: Path) -> None:
    data = ImageData("mine", torch.from_numpy(NOISE), torch.tensor([3, 7] * 3), tuple("0123456789"))
    with pytest.raises(InputError, match="mine has no image of the class '0'") as caught:
        fit(data, tmp_path / "m.safetensors", FitConfig(epochs=1))
    assert "data.without_empty_classes()" in str(caught.value)
    kept = data.without_empty_classes()
    assert (kept.labels.tolist(), kept.classes) == (FIRST, ("3", "7"))
    fit(kept, tmp_path / "m.safetensors", FitConfig(network="mlp", epochs=1))


def test_unknown_labels_stay_unknown_without_empty_classes() -> None:
    labels = torch.tensor([-1, 2, 0, 2, -1, 0])
    data = ImageData("mine", torch.from_numpy(NOISE), labels, ("a", "b", "c"))
    kept = data.without_empty_classes()
    assert (kept.labels.tolist(), kept.classes) == ([-1, 1, 0, 1, -1, 0], ("a", "c"))


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"labels of shape \(6, 1\) for 6 images"):
        ImageData("mine", torch.from_numpy(NOISE), torch.zeros(6, 1, dtype=torch.int64))
