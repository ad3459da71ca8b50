"""Tables of pixels: the header decides; without one only what can be read in one way."""

import bz2
import gzip
import zipfile
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .cases import Case

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16))
LABELS = np.arange(12) % 3
IMAGES = PIXELS.reshape(12, 1, 4, 4)
NAMES = [f"pixel{index}" for index in range(16)]
ROWS = np.arange(12)
LABELLED = [LABELS, *PIXELS.T]
HEADER = ["label", *NAMES]
DARK_END = np.where(np.arange(16) == 15, 0, PIXELS)  # the last pixel is black in all images
DARK_START = np.where(np.arange(16) == 0, 0, PIXELS)
FEW = PIXELS % 3 + 200 * (np.arange(16) == 5)  # its first and last pixels look like labels
CLASSES = ("0", "1", "2")


def text(columns: Iterable[Any], header: Sequence[str] = (), separator: str = ",") -> str:
    lines = [separator.join(header)] if header else []
    lines += [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join(lines) + "\n"


def table(content: str | bytes, name: str = "x.csv") -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return root / name

    return make


def zipped(content: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.csv", content)
    return file.getvalue()


def read(given: str, content: str | bytes, name: str = "x.csv", **more: Any) -> Case:
    """A table that is read with its labels."""
    known: dict[str, Any] = {"images": IMAGES, "labels": LABELS, "classes": CLASSES}
    return Case(given, table(content, name), **{"found": "labels and pixels", **known, **more})


def pixels(given: str, content: str | bytes, **more: Any) -> Case:
    """A table without labels."""
    known: dict[str, Any] = {"images": IMAGES, "labels": [-1] * 12, "classes": ()}
    return Case(given, table(content), **{"found": "pixels, no labels", **known, **more})


def refused(given: str, content: str | bytes, error: str) -> Case:
    return Case(given, table(content), error=error)


KAGGLE = text(LABELLED, HEADER)
GERMAN = text([LABELS, *np.char.replace((PIXELS / 255).T.astype(str), ".", ",")], HEADER, ";")
QUOTED = text([[f'"{name}"' for name in column] for column in LABELLED], [f'"{n}"' for n in HEADER])
WITH_TEXTS = text([np.array(["eel", "dog", "cat"])[LABELS], *PIXELS.T], HEADER)
HOLE = [*PIXELS[:5, 2], "", *PIXELS[6:, 2]]
GAPS = KAGGLE.replace("\n2,", "\n,")
ORDER = np.argsort(NAMES)  # pixel0, pixel1, pixel10, ...
OBLONG = [f"{row}x{column}" for row in range(2) for column in range(8)]
XY = [f"x{column}y{row}" for row in range(4) for column in range(4)]

CASES = [
    read("label first, with a header (Kaggle)", KAGGLE),
    read("label last, with a header (OpenML, UCI)", text([*PIXELS.T, LABELS], [*NAMES, "class"])),
    read("separated by `;`, with a byte order mark, CRLF (Excel)",
         "\ufeff" + text(LABELLED, HEADER, ";").replace("\n", "\r\n")),
    read("`sep=;` in the first line (Excel)", "sep=;\n" + text(LABELLED, HEADER, ";")),
    read("decimal commas (Excel)", GERMAN),
    read("UTF-16, separated by tabs (Excel)", text(LABELLED, HEADER, "\t").encode("utf-16")),
    read("Windows' code page", text(LABELLED, ["Ziffer öß label", *NAMES]).encode("cp1252"),
         options={"label_column": 0}),
    read("quoted cells", QUOTED),
    read("`.CSV`", KAGGLE, "x.CSV"),
    read("`.tsv`", text(LABELLED, HEADER, "\t"), "x.tsv"),
    read("`.csv.gz`", gzip.compress(KAGGLE.encode()), "x.csv.gz"),
    read("`.csv.bz2`", bz2.compress(KAGGLE.encode()), "x.csv.bz2"),
    read("`.csv.zip` with one file", zipped(KAGGLE), "x.csv.zip"),
    read("a gzip named `.csv`", gzip.compress(KAGGLE.encode())),
    read("separated by spaces", text(LABELLED, separator=" "), "x.txt"),
    read("empty lines and lines of separators", KAGGLE + "," * 16 + "\n\n"),
    read("a separator at the end of each line", KAGGLE.replace("\n", ",\n")),
    read("an id before the label", text([ROWS, *LABELLED], ["id", *HEADER])),
    pixels("an id and no label (Kannada-MNIST)", text([ROWS, *PIXELS.T], ["id", *NAMES])),
    pixels("the unnamed index of pandas", text([ROWS, *PIXELS.T], ["", *NAMES])),
    read("`Unnamed: 0` of pandas", text([ROWS, *LABELLED], ["Unnamed: 0", *HEADER])),
    pixels("a header of column numbers (pandas without names)",
           text(PIXELS.T, [str(number) for number in range(16)])),
    read("a header of column numbers, label first",
         text([LABELS, *DARK_END.T], [str(number) for number in range(17)]),
         images=DARK_END.reshape(IMAGES.shape)),
    read("index and column numbers of pandas, label first",
         text([ROWS, LABELS, *DARK_END.T], ["", *(str(number) for number in range(17))]),
         images=DARK_END.reshape(IMAGES.shape)),
    read("the names V1, V2, ... of R, label first",
         text([LABELS, *DARK_END.T], [f"V{number}" for number in range(1, 18)]),
         images=DARK_END.reshape(IMAGES.shape)),
    read("`label` and column numbers", text(LABELLED, ["label", *map(str, range(16))])),
    read("pixels in the order of the alphabet",
         text([LABELS, *PIXELS[:, ORDER].T], ["label", *np.array(NAMES)[ORDER]]),
         found="in the order of their numbers"),
    read("pixels named by row and column", text(LABELLED, ["label", *OBLONG]),
         found="2 x 8 pixels", images=PIXELS.reshape(12, 1, 2, 8)),
    read("pixels named x0y0, x1y0, ...", text(LABELLED, ["label", *XY])),
    read("labels that are texts", WITH_TEXTS, classes=("cat", "dog", "eel"), labels=2 - LABELS),
    read("labels that are missing", GAPS, found="unknown labels", classes=("0", "1"),
         labels=np.where(LABELS == 2, -1, LABELS)),
    read("labels written 0.0, 1.0, ...", text([LABELS.astype(float), *PIXELS.T], HEADER)),
    pixels("no header, pixels alone", text(PIXELS.T)),
    read("no header, label first (EMNIST, MNIST in CSV)", text([LABELS, *DARK_END.T]),
         images=DARK_END.reshape(IMAGES.shape)),
    read("no header, label last (UCI's optdigits)", text([*DARK_START.T, LABELS]),
         images=DARK_START.reshape(IMAGES.shape)),
    read("no header, labels that are texts",
         text([np.array(["eel", "dog", "cat"])[LABELS], *PIXELS.T]),
         classes=("cat", "dog", "eel"), labels=2 - LABELS),
    read("no header, first and last column like labels", text([LABELS, *FEW.T]),
         images=FEW.reshape(IMAGES.shape), way={"label_column": 0},
         error=r"the first and the last column could each be the label.*0, 1, 1, 1, \.\.\. / 1, 2"),
    pixels("no header, an id first", text([ROWS, *PIXELS.T]), found="pixels",
           error="no column at an end can be the label", way={"label_column": 0, "labels": False}),
    read("a column of a name that says nothing", text(LABELLED, ["ink", *NAMES]),
         error="whether 'ink' is the label is not clear", way={"label_column": "ink"}),
    read("two columns that could be the label",
         text([LABELS, *LABELLED], ["label", "class", *NAMES]),
         error="label, class could each be the label", way={"label_column": "label"}),
    read("more columns beside the label", text([LABELS, *LABELLED], ["writer", *HEADER]),
         warning="the columns writer are not read"),
    refused("pixels left out", text(PIXELS[:, :9].T, [*NAMES[:4], *NAMES[6:11]]),
            "9 columns are named like 'pixel0', which are not all the pixels of a square image"),
    refused("an id and a label without a header", text([ROWS, *LABELLED]),
            "18 columns are not the pixels of a square image; name them in the first line: label,"),
    refused("colour images", text([LABELS, *np.tile(PIXELS, 3).T],
                                  ["label", *(f"p{number}" for number in range(48))]),
            "48 columns are the pixels of colour images, in an order that a table does not tell"),
    refused("a cell that is no number", KAGGLE.replace(f"{PIXELS[4, 3]},", "x,", 1),
            r"x\.csv, line \d+: column 'pixel\d+' holds 'x'"),
    refused("a pixel that is missing", text([*LABELLED[:3], HOLE, *LABELLED[4:]], HEADER),
            "line 7: column 'pixel2' holds ''"),
    refused("a line that is too short", KAGGLE + "1,2\n", "line 14 has 2 columns, but the first"),
    refused("a title above the header", "Digits" + "," * 16 + "\n" + KAGGLE, "line 1: column"),
    refused("an image that pandas took for a header", "5,0,0.1,0.2,0.3\n" + text(LABELLED[:5]),
            "line 1: 5, 0, 0.1, 0.2, 0.3, ... is an image that pandas took for a header"),
    refused("only a header", ",".join(HEADER), "its first lines have no numbers"),
    refused("pixels in one cell (FER-2013)", 'emotion,pixels\n0,"70 80 82 72"\n1,"70 80 82 71"\n',
            "the header names no pixels"),
    refused("a damaged gzip", b"\x1f\x8b" + bytes(50), "cannot be read as a table"),
    Case("a spreadsheet", table(b"PK", "x.xlsx"), error="Save the sheet as CSV"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tables(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path)


@pytest.mark.parametrize("column", ["ink", "0", 0, -17])
def test_the_label_by_name_and_by_number(column: Any, tmp_path: Path) -> None:
    named = read("", text(LABELLED, ["ink", *NAMES]), options={"label_column": column})
    named.check(tmp_path)


@pytest.mark.parametrize("column", ["paper", 17, "-18"])
def test_a_column_that_is_not_there(column: Any, tmp_path: Path) -> None:
    error = "there is no column .* It begins with label, pixel0, pixel1, pixel2, ... / 0, "
    Case("", table(KAGGLE), options={"label_column": column}, error=error).check(tmp_path)


def test_the_label_last_by_number(tmp_path: Path) -> None:
    content = text([*FEW.T, LABELS])
    last = read("", content, images=FEW.reshape(IMAGES.shape), options={"label_column": -1})
    last.check(tmp_path)
