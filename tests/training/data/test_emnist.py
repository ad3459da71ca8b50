"""EMNIST is upright and numbered from 0 whichever of its forms is read."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from vae_augment.training import load_data

from .cases import Case

UPRIGHT = np.zeros((28, 28), np.uint8)
UPRIGHT[4:6, 4:24] = 255  # a bar at the top, a stroke down on the left
UPRIGHT[6:24, 4:6] = 200
LETTERS = np.arange(52) % 26
DIGITS = np.arange(20) % 10
IMAGES = {"letters": np.stack([UPRIGHT[None]] * 52), "digits": np.stack([UPRIGHT[None]] * 20)}
STORED = {name: images[:, 0].transpose(0, 2, 1) for name, images in IMAGES.items()}
NUMBERS = {"letters": LETTERS + 1, "digits": DIGITS}  # as EMNIST's files have them
NAMES = {"letters": tuple("abcdefghijklmnopqrstuvwxyz"), "digits": tuple("0123456789")}


def idx(split: str, ending: str = "", folder: str = ".") -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for kind, array in (("images-idx3", STORED[split]), ("labels-idx1", NUMBERS[split])):
            content = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            content += array.astype(np.uint8).tobytes()
            path = root / folder / f"emnist-{split}-train-{kind}-ubyte{ending}"
            path.write_bytes(gzip.compress(content) if ending else content)
        return root / folder / f"emnist-{split}-train-images-idx3-ubyte{ending}"

    return make


def csv(split: str, name: str, header: str = "") -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        rows = np.column_stack([NUMBERS[split], STORED[split].reshape(-1, 784)])
        np.savetxt(root / name, rows, "%d", ",", header=header, comments="")
        return root / name

    return make


def mat(split: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        images = STORED[split].reshape(-1, 784)
        part = {"images": images, "labels": NUMBERS[split][:, None].astype(np.uint8)}
        codes = [[n + 1, 65 + n, 97 + n] for n in range(26)]
        if split == "digits":
            codes = [[n, 48 + n] for n in range(10)]
        content = {"train": part, "test": part, "mapping": np.array(codes, np.uint8)}
        savemat(root / f"emnist-{split}.mat", {"dataset": content})
        return root / f"emnist-{split}.mat"

    return make


def case(given: str, make: Callable[[Path], Any], split: str) -> Case:
    labels = NUMBERS[split] - (split == "letters")
    found = "upright, `a` to `z` numbered 0 to 25" if split == "letters" else "upright, 0 to 9"
    return Case(given, make, found, IMAGES[split], labels.tolist(), NAMES[split])


HEADER = ",".join(["label", *(f"pixel{number}" for number in range(784))])
CASES = [
    case("`emnist-letters-train-images-idx3-ubyte`", idx("letters"), "letters"),
    case("`emnist-letters-train-images-idx3-ubyte.gz`", idx("letters", ".gz"), "letters"),
    case("`emnist-digits-train-images-idx3-ubyte`", idx("digits"), "digits"),
    case("`emnist-letters-train.csv`", csv("letters", "emnist-letters-train.csv"), "letters"),
    case("`emnist-digits-test.csv`", csv("digits", "emnist-digits-test.csv"), "digits"),
    case(
        "`EMNIST-Letters-Train.CSV` with a header",
        csv("letters", "EMNIST-Letters-Train.CSV", HEADER),
        "letters",
    ),
    case("`emnist-letters.mat`", mat("letters"), "letters"),
    case("`emnist-digits.mat`", mat("digits"), "digits"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_emnist(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize("split", ["letters", "digits"])
def test_the_set_by_its_name_is_the_same(split: str, tmp_path: Path) -> None:
    file = idx(split, folder="EMNIST/raw")(tmp_path)
    named = load_data(f"emnist-{split}", tmp_path)
    case("", lambda root: file, split).compare(named)


def test_other_files_are_read_as_they_are(tmp_path: Path) -> None:
    file = idx("digits")(tmp_path)
    labels = file.with_name(file.name.replace("images-idx3", "labels-idx1"))
    for path in (file, labels):
        path.rename(path.with_name(path.name.replace("emnist-digits-", "")))
    data = load_data(tmp_path / "train-images-idx3-ubyte")
    np.testing.assert_array_equal(data.images[:, 0], STORED["digits"])


@pytest.mark.parametrize("labels", [np.arange(27), np.arange(26), np.arange(2, 29)])
def test_letters_of_other_numbers_are_refused(labels: np.ndarray, tmp_path: Path) -> None:
    rows = np.column_stack([labels, np.zeros((len(labels), 784), int)])
    np.savetxt(tmp_path / "emnist-letters.csv", rows, "%d", ",")
    error = "is not EMNIST's, which numbers the split letters from 1 to 26"
    Case("", lambda root: root / "emnist-letters.csv", error=error).check(tmp_path)
