"""Rows of Hugging Face: labels are used, or it is said why not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value
from PIL import Image, ImageOps

from vae_augment.errors import InputError
from vae_augment.training import load_data

from .cases import Case
from .pictures import NOISE, encoded, grey

PICTURES = [grey(row) for row in range(6)]
TWO = ClassLabel(names=["cat", "dog"])
SEVERAL = datasets.Sequence(TWO)
FIRST, SECOND = [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]
ONE = datasets.Image()
CAT_DOG = ("cat", "dog")


def columns(images: list[Any], of_images: Any, **more: tuple[list[Any], Any]) -> Dataset:
    """Rows with an image and other columns, each given as values and type."""
    values = {"image": images} | {name: column for name, (column, _) in more.items()}
    features = Features(image=of_images, **{name: each for name, (_, each) in more.items()})
    return Dataset.from_dict(values, features=features)


def rows(label: list[Any], kind: Any, images: Any = None, image: Any = ONE) -> Any:
    return lambda root: columns(images or PICTURES, image, label=(label, kind))


def named(name: str, values: list[Any], kind: Any) -> Callable[[Path], Dataset]:
    return lambda root: columns(PICTURES, ONE, **{name: (values, kind)})


def case(given: str, make: Any, **more: Any) -> Case:
    known = {"images": NOISE, "labels": FIRST, "classes": CAT_DOG}
    return Case(given, make, **{"found": "labels used", **known, **more})


def streamed(root: Path) -> IterableDataset:
    return rows([0, 1] * 3, TWO)(root).to_iterable_dataset()


def generated(root: Path) -> IterableDataset:
    def items() -> Iterator[dict[str, Any]]:
        yield from ({"image": image, "label": row % 2} for row, image in enumerate(PICTURES))

    return IterableDataset.from_generator(items)


def in_splits(*names: str) -> Callable[[Path], DatasetDict]:
    return lambda root: DatasetDict(dict.fromkeys(names, rows([0, 1] * 3, TWO)(root)))


def on_disk(root: Path) -> Path:
    rows([0, 1] * 3, TWO)(root).save_to_disk(root / "rows")
    return root / "rows"


NONE: dict[str, Any] = {"labels": [-1] * 6, "classes": (), "found": "without labels"}
COLOUR = NOISE.repeat(3, axis=1)
RGB = [image.convert("RGB") for image in PICTURES]
DEEP = [Image.fromarray(np.array(image).astype(np.uint16) * 257) for image in PICTURES]
NAMED = ClassLabel(names=list("0123456789"))

CASES = [
    case("a column of type ClassLabel", rows([0, 1] * 3, TWO)),
    case("the folder of `save_to_disk`", on_disk),
    case("labels that are integers", rows([0, 1] * 3, Value("int64")), classes=("0", "1")),
    case("labels that are texts", rows(["dog", "cat"] * 3, Value("string")), labels=SECOND),
    case("labels that are True and False", rows([True, False] * 3, Value("bool")), labels=SECOND,
         classes=("False", "True")),
    case("a list of one label", rows([[0], [1]] * 3, SEVERAL)),
    case("labels that are missing", rows([0, 1, None] * 2, TWO), labels=[0, 1, -1] * 2,
         found="unknown labels"),
    case("names of ten classes, two used", rows([3, 7] * 3, NAMED), classes=("3", "7"),
         warning="no image has the class 0, 1, 2, 4", found="classes `3` and `7`"),
    case("several labels", rows([[0, 1]] * 6, SEVERAL), **NONE, way={"labels": False},
         error="dataset, image 0 has 2 labels, but a class is one.*leave the labels out"),
    case("a column of texts of another name", named("kind", ["cat", "dog"] * 3, Value("string")),
         warning="no column of the type ClassLabel or named label", way={"label_column": "kind"}),
    case("a column of ids", named("image_id", list("abcdef"), Value("string")), **NONE),
    case("an image that is missing", rows([0, 1] * 3, TWO, [*PICTURES[:5], None]),
         error=r"Image 5 of the dataset is missing.*filter\(lambda row: row\['image'\]"),
    case("streamed", streamed, images=NOISE[:4], labels=FIRST[:4], options={"limit": 4},
         found="the first four"),
    case("streamed, fewer rows than the limit", streamed, options={"limit": 99}),
    case("streamed from a generator, without types", generated, options={"limit": 6},
         classes=("0", "1")),
    case("streamed, without a limit", streamed, error=r"load_data\(\.\.\., limit=10_000\)"),
    case("a `DatasetDict` with `train` and `test`", in_splits("train", "test"), found="`train`"),
    case("a `DatasetDict` with `validation` alone", in_splits("validation"), found="`validation`",
         error="splits 'validation', of which none is clearly 'train'",
         way={"split": "validation"}),
    case("a `DatasetDict` with `training` and `dev`", in_splits("training", "dev"),
         options={"split": "val"}, found="`dev`"),
    case("`Image(mode='RGB')` of grey images", rows([0, 1] * 3, TWO, None, datasets.Image("RGB")),
         images=COLOUR, found="colour"),
    case("`Image(mode='L')` of colour images", rows([0, 1] * 3, TWO, RGB, datasets.Image("L")),
         found="grey"),
    case("`Image(mode='RGB')` of 16-bit images", rows([0, 1] * 3, TWO, DEEP, datasets.Image("RGB")),
         images=COLOUR, found="colour, scaled to 8 bits"),
    case("`Image(mode='HSV')`", rows([0, 1] * 3, TWO, RGB, datasets.Image("HSV")),
         error="declared to be of mode 'HSV'; images are read as L or RGB"),
    case("two columns of type ClassLabel",
         lambda root: columns(PICTURES, ONE, label=([0, 1] * 3, TWO), other=([0] * 6, TWO)),
         error="several columns of the type ClassLabel: label, other",
         way={"label_column": "label"}),
    case("two columns of images", lambda root: columns(PICTURES, ONE, mask=(PICTURES, ONE)),
         error=r"several columns of the type Image: image, mask.*remove_columns\(\['mask'\]\)"),
    case("no column of images", lambda root: Dataset.from_dict({"text": ["a"]}),
         error="one of the type Image is needed"),
    case("no rows", lambda root: rows([0, 1] * 3, TWO)(root).select([]), error="holds no images"),
    case("images of different sizes", rows([0, 1], TWO, [grey(), grey().resize((9, 8))]),
         error=r"Image 1 .* has the shape \(1, 8, 9\)"),
    case("a column that is not there", rows([0, 1] * 3, TWO), options={"label_column": "kind"},
         error="columns label beside the images, but none named 'kind'"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rows(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


def test_formats_and_splits_do_not_matter(tmp_path: Path) -> None:
    dataset = rows([0, 1] * 3, TWO)(tmp_path)
    both = DatasetDict(train=dataset, test=dataset.select([5]))
    both.save_to_disk(tmp_path / "both")
    for source in (dataset.with_format("torch"), both, str(tmp_path / "both")):
        case("", lambda root, source=source: source).check(tmp_path)
    with pytest.warns(UserWarning, match="no image has the class cat. The classes are dog"):
        assert load_data(tmp_path / "both", train=False).classes == ("dog",)


def test_a_photograph_is_upright_as_the_row_shows_it() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    picture = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12) * 2)
    content = encoded(picture, "PNG", exif=tags)
    source = columns([{"bytes": content, "path": None}], ONE)
    found = load_data(source).images[0, 0].numpy()
    np.testing.assert_array_equal(found, np.array(ImageOps.exif_transpose(source[0]["image"])))
    assert found.shape == (12, 8)


def test_the_advice_on_a_missing_image_works() -> None:
    source = rows([0, 1] * 3, TWO, [*PICTURES[:5], None])(Path())
    kept = source.filter(lambda row: row["image"] is not None)
    assert load_data(kept).labels.tolist() == FIRST[:5]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    source = rows([0, 1] * 3, TWO)(Path())
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"Install it: pip install datasets\."):
        load_data(source)


def test_a_limit_is_for_rows_of_hugging_face(tmp_path: Path) -> None:
    assert len(load_data(rows([0, 1] * 3, TWO)(tmp_path), limit=2)) == 2
    with pytest.raises(InputError, match="limit is for datasets of Hugging Face"):
        load_data("digits", limit=2)
