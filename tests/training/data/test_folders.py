"""Folders: the classes are those of torchvision's `ImageFolder`, or an error names the folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import ImageFolder

from tests.helpers import run_command
from vae_augment.errors import InputError
from vae_augment.training import load_data

from .cases import Case
from .pictures import NOISE, encoded, grey, write_files

CAT_DOG = {"cat/0.png": grey(0), "dog/0.png": grey(1)}
EXPECTED: dict[str, Any] = {"images": NOISE[:2], "labels": [0, 1], "classes": ("cat", "dog")}
BAD = b"no picture"


def folder(files: dict[str, Any]) -> Callable[[Path], Path]:
    return lambda root: write_files(root / "set", files)


def below(folder: str) -> dict[str, Any]:
    return {f"{folder}/{name}": image for name, image in CAT_DOG.items()}


def splits(*names: str) -> Callable[[Path], Path]:
    """The same two images in each split, so that any of them gives `EXPECTED`."""
    return folder({name: image for split in names for name, image in below(split).items()})


def good(given: str, files: Any, **more: Any) -> Case:
    """A folder whose content, or the function that writes it, is read with two classes."""
    make = folder(files) if isinstance(files, dict) else files
    return Case(given, make, **{"found": "classes `cat` and `dog`", **EXPECTED, **more})


def refused(given: str, files: dict[str, Any], error: str) -> Case:
    return Case(given, folder(files), error=error)


def looped(root: Path) -> Path:
    return write_files(root / "set", {**CAT_DOG, "dog/up": root / "set"})


def linked(root: Path) -> Path:
    write_files(root / "elsewhere", {"0.png": grey(1)})
    return write_files(root / "set", {"cat/0.png": grey(0), "dog": root / "elsewhere"})


FLAT = {"train/0.png": grey(0), "test/0.png": grey(1)}
JPEG = encoded(grey().resize((8, 8)), "JPEG")

CASES = [
    good("a folder of images per class", CAT_DOG),
    good("`train`, `val` and `test` inside", splits("train", "val", "test"),
         found="`train`"),
    good("`Train` and `valid` inside", splits("Train", "valid"),
         options={"split": "val"}, found="`valid`"),
    good("`train` and `annotations` without images", {**below("train"), "notes/0.json": b"{}"},
         found="`train`"),
    good("`train` and `valid` inside, the test images asked for", splits("train", "valid"),
         options={"train": False}, found="classes `cat` and `dog`", way={"split": "train"},
         error="has the splits 'train', 'valid', of which none is clearly 'test'"),
    Case("`train` and `test` with images and no classes", folder(FLAT), "no labels",
         images=NOISE[:1], labels=[-1], classes=(), way={"split": "train"},
         error="test, train, which look like splits, not like classes"),
    good("`training_set` and `test_set` inside", splits("training_set", "test_set"),
         found="`training_set`"),
    good("`train`, `test` and `extra` inside", splits("train", "test", "extra"), found="`train`"),
    Case("classes `train` and `car`", folder({"train/0.png": grey(0), "car/0.png": grey(1)}),
         "both", NOISE[[1, 0]], [0, 1], ("car", "train")),
    refused("a folder above that of the classes", below("set"),
            r"holds only the folder set, .* cat, dog\. Give .*/set/set\.$"),
    refused("two folders above", below("x/y"),
            r"holds only the folder x/y, .* cat, dog\. Give .*/set/x/y\.$"),
    good("one class deeper than the other", {"cat/0.png": grey(0), "dog/new/0.png": grey(1)},
         warning="the images of dog lie in folders of their own, such as dog/new/0.png"),
    good("images beside the class folders", {**CAT_DOG, "0.png": grey(2)}, found="without labels",
         images=NOISE[[2, 0, 1]], labels=[-1, 0, 1]),
    Case("images alone", folder({"1.png": grey(1), "0.png": grey(0)}), "no labels", NOISE[:2],
         [-1, -1], ()),
    Case("images and a table of labels", folder({"0.png": grey(0), "labels.csv": b"0,cat"}),
         "no labels", NOISE[:1], [-1], (), warning="labels.csv is not read, so the images have no"),
    refused("an empty class", {**CAT_DOG, "cow": None}, "set/cow holds no images"),
    refused("a class of other files", {**CAT_DOG, "cow/0.mp3": BAD}, "set/cow holds no images"),
    refused("a class whose file cannot be read", {**CAT_DOG, "cow/0.png": BAD},
            "cow/0.png cannot be read as an image: its content is none"),
    refused("a damaged image", {**CAT_DOG, "cow/0.png": encoded(grey().resize((64, 64)))[:999]},
            "cow/0.png cannot be read as an image"),
    refused("`.heic`, `.svg`, videos, ...", {**CAT_DOG, "cat/1.HEIC": BAD}, "1.HEIC is of a type"),
    good("image files without an ending", {"cat/0": encoded(grey(0)), "dog/0": encoded(grey(1))}),
    good("image files with another's ending",
         {"cat/0.jpg": encoded(grey(0)), "dog/0.PNG": grey(1)}),
    good("`Thumbs.db`, `desktop.ini`, `.DS_Store`, `readme.txt`", {**CAT_DOG, "cat/Thumbs.db": BAD,
         "cat/desktop.ini": BAD, "dog/.DS_Store": BAD, "readme.txt": BAD}),
    good("other files", {**CAT_DOG, "cat/0.bin": BAD}, warning="no images are left out: cat/0.bin"),
    good("`__MACOSX` beside the classes", {**CAT_DOG, "__MACOSX/cat/._0.png": BAD},
         warning="hidden and system folders are left out: __MACOSX"),
    good("`.ipynb_checkpoints` beside the classes", {**CAT_DOG, ".ipynb_checkpoints/0.png": BAD},
         warning="left out: .ipynb_checkpoints"),
    good("`.ipynb_checkpoints` in a class", {**CAT_DOG, "cat/.ipynb_checkpoints/0.png": BAD}),
    good("links to folders", linked),
    good("a link that leads back", looped),
    refused("a link that leads nowhere", {**CAT_DOG, "dog/1.png": Path("/none/1.png")},
            "dog/1.png is a link that leads nowhere"),
    refused("a linked folder that is gone", {**CAT_DOG, "cow": Path("/none")}, "cow is a link"),
    Case("names in Unicode, with spaces", folder({"日本 語/é.png": grey(0), "b/0.png": grey(1)}),
         "read", NOISE[[1, 0]], [0, 1], ("b", "日本 語")),
    refused("images of different sizes", {**CAT_DOG, "dog/1.png": grey().resize((9, 8))},
            r"1\.png has the shape \(1, 8, 9\), but .*0\.png has \(1, 8, 8\)"),
    refused("grey and colour images", {**CAT_DOG, "dog/1.png": grey().convert("RGB")},
            r"1\.png has the shape \(3, 8, 8\), but .*0\.png has \(1, 8, 8\)"),
    refused("no images", {"a.txt": BAD}, "holds no images. Give PATH/class/image.png"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_folders(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.classes and not case.error], ids=str
)
@pytest.mark.filterwarnings("ignore")
def test_classes_are_those_of_torchvision(case: Case, tmp_path: Path) -> None:
    root = case.make(tmp_path)
    data = load_data(root, **case.options)
    (root / "dog" / "up").unlink(missing_ok=True)  # a link in which torchvision would go round
    hidden = [path for path in root.rglob("*") if path.name in ("__MACOSX", ".ipynb_checkpoints")]
    for path in hidden:  # which torchvision takes for classes
        shutil.rmtree(path)
    inside = [path for path in root.iterdir() if (path / "cat").is_dir()]  # splits, all alike
    other = ImageFolder(inside[0] if inside else root, is_valid_file=is_picture)
    assert data.classes == tuple(other.classes)


def is_picture(path: str) -> bool:
    """Whether a file holds an image; torchvision itself goes by the endings of names."""
    return Path(path).read_bytes()[:3] in (b"\x89PN", b"\xff\xd8\xff")


def test_a_class_name_that_is_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, CAT_DOG)
    os.rename(tmp_path / "cat", os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(InputError, match=r"caf\\udce9' is not in UTF-8.*Rename it"):
        load_data(tmp_path)


def test_a_folder_that_cannot_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, CAT_DOG)
    scan = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", closed)
    with pytest.raises(InputError, match="cat cannot be opened: Permission denied"):
        load_data(tmp_path)


def test_names_of_files_in_other_encodings_are_kept(tiny_model_path: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "set", CAT_DOG)
    os.rename(tmp_path / "set/cat/0.png", os.fsencode(tmp_path) + b"/set/cat/\xe9.png")
    command = ("score", tiny_model_path, tmp_path / "set", "-o", tmp_path / "scores.csv")
    assert run_command(*command)[0] == 0
    assert b",cat/\xe9.png," in (tmp_path / "scores.csv").read_bytes()


def test_a_folder_that_generate_filled(tiny_model_path: Path, tmp_path: Path) -> None:
    command = ("generate", tiny_model_path, "-n", 20, "-o", tmp_path / "out", "--workers", 1)
    assert run_command(*command, "--format", "imagefolder")[0] == 0
    data = load_data(tmp_path / "out")
    assert data.classes == tuple("0123456789")
    assert data.labels.bincount().tolist() == [2] * 10
