"""Archives of arrays: the names that Keras, MedMNIST, Kuzushiji and we ourselves give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA
from vae_augment.training import load_data

from .cases import Case
from .pictures import NOISE

GREY = NOISE[:, 0]
LABELS = np.array([0, 1, 2, 0, 1, 2])
MEDMNIST = DATA / "medmnist"


def npz(name: str = "x.npz", **arrays: Any) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        np.savez(root / name, **arrays)
        return root / name

    return make


def kuzushiji(root: Path) -> Path:
    np.savez(root / "kmnist-train-labels.npz", LABELS)
    np.savez(root / "kmnist-train-imgs.npz", GREY)
    return root / "kmnist-train-imgs.npz"


def upper(root: Path) -> Path:
    path = npz(images=GREY, labels=LABELS)(root)
    return path.rename(root / "X.NPZ")


def parts(*splits: str, images: str = "{}_images", labels: str = "{}_labels") -> Any:
    """The same images in each split, under such names."""
    arrays: dict[str, np.ndarray] = {}
    for split in splits:
        arrays |= {images.format(split): GREY, labels.format(split): LABELS[:, None]}
    return npz(**arrays)


def case(given: str, make: Callable[[Path], Path], **more: Any) -> Case:
    known = {"images": NOISE, "labels": LABELS.tolist(), "classes": ("0", "1", "2")}
    return Case(given, make, **{"found": "images and labels", **known, **more})


CASES = [
    case("`images` and `labels`", npz(images=GREY, labels=LABELS)),
    case("`images`, `labels` and `classes`", npz(images=GREY, labels=LABELS, classes=list("abc")),
         classes=("a", "b", "c"), found="with the names of the classes"),
    case("`x.NPZ`", upper),
    case("`image` and `label`", npz(image=GREY, label=LABELS)),
    case("`X` and `y`", npz(X=GREY, y=LABELS)),
    case("`data` and `target`", npz(data=GREY, target=LABELS)),
    case("`x_train`, `y_train`, `x_test`, ... (Keras)",
         parts("train", "test", images="x_{}", labels="y_{}"), found="the training images"),
    case("`train_images`, `train_labels`, `val_images`, ... (MedMNIST)",
         parts("train", "val", "test"), found="the training images"),
    case("the same", parts("train", "val", "test"), options={"split": "val"}, found="`val`"),
    case("the same", parts("train", "val"), options={"train": False}, found="`train`",
         error="has the splits 'train', 'val', of which none is clearly 'test'",
         way={"split": "train"}),
    case("`kmnist-train-imgs.npz` with its labels beside it", kuzushiji),
    case("no images", npz(pictures=GREY), error="one named 'images' is needed"),
    case("images of two names", npz(images=GREY, x=GREY), error="one named 'images' is needed"),
    case("labels of two names", npz(images=GREY, labels=LABELS, y=LABELS),
         error="labels, y, of which more than one could hold the labels",
         way={"label_column": "labels"}),
    case("a split of a file that has none", npz(images=GREY, labels=LABELS),
         options={"split": "val"}, error="has no splits, so that there is no split='val'"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_archives(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.skipif(not MEDMNIST.exists(), reason=f"needs {DATA.name}/medmnist beside the checkout")
@pytest.mark.parametrize(
    ("name", "sizes", "shape", "classes"),
    [
        ("breastmnist", (546, 78, 156), (1, 28, 28), 2),
        ("bloodmnist-4600", (3200, 400, 1000), (3, 28, 28), 8),
    ],
)
def test_medmnist_as_published(
    name: str, sizes: tuple[int, ...], shape: tuple[int, ...], classes: int
) -> None:
    for split, size in zip(("train", "val", "test"), sizes, strict=True):
        data = load_data(MEDMNIST / f"{name}.npz", split=split)
        assert (len(data), data.image_shape) == (size, shape)
        assert data.classes == tuple(map(str, range(classes)))
        with np.load(MEDMNIST / f"{name}.npz") as arrays:
            first = arrays[f"{split}_images"][0].reshape(28, 28, -1).transpose(2, 0, 1)
            np.testing.assert_array_equal(data.images[0], first)
            assert data.labels.tolist() == arrays[f"{split}_labels"][:, 0].tolist()
