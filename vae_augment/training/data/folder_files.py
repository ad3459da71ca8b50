"""Which files of a folder are images, and what is left out of it."""

import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ...errors import InputError
from .column_names import listed
from .image_file import FORMATS, is_image

_SYSTEM = frozenset(
    ("__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found", "@eadir")
)
_NO_IMAGES = frozenset(
    ".txt .csv .tsv .json .jsonl .xml .yaml .yml .md .rst .html .htm .pdf .log .ini .db .py .ipynb "
    ".doc .docx .xls .xlsx .zip .gz .tar .rar .7z .part .sha256 .md5 .url .lnk .parquet".split()
)
_OTHER_IMAGES = frozenset(
    ".heic .heif .avif .jxl .svg .dcm .npy .nii .raw .dng .cr2 .nef .arw .exr .hdr .mp4 .avi .mov "
    ".mkv .webm".split()
)


class Files(NamedTuple):
    """The images below a folder, the hidden folders, and the files of no known kind."""

    images: list[Path]
    hidden: list[Path]
    others: list[Path]


def image_files(root: Path) -> Files:
    """The images in `root` and its folders, also those behind links, but nothing hidden.

    Raises:
        InputError: a folder that cannot be opened, a link that leads nowhere, or an image of a type
            that is not read.
    """
    images: list[Path] = []
    hidden: list[Path] = []
    others: list[Path] = []
    for folder, inner, names in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        hidden += [here / name for name in inner if is_hidden(name)]
        inner[:] = [name for name in inner if not is_hidden(name) and not _is_loop(here, name)]
        files = [here / name for name in names if not is_hidden(name)]
        for file in files:
            if _is_read(file):
                images.append(file)
            elif file.suffix.lower() not in _NO_IMAGES:
                others.append(file)
    return Files(sorted(images), sorted(hidden), sorted(others))


def folders_in(folder: Path) -> list[Path]:
    """The folders in one that could be classes, in the order of their names."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and not is_hidden(each.name))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or belongs to an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def has_image_ending(file: Path) -> bool:
    """Whether a file is named like an image of a type that is read."""
    return Image.registered_extensions().get(file.suffix.lower()) in FORMATS


def _is_loop(folder: Path, name: str) -> bool:
    return folder.resolve().is_relative_to((folder / name).resolve())


def _is_read(file: Path) -> bool:
    """Whether a file is an image that is read; `InputError` for an image of another type."""
    ending = file.suffix.lower()
    if ending in _NO_IMAGES:
        return False
    if not file.exists():
        raise InputError(f"{file} is a link that leads nowhere. Remove it or mend it.")
    if not file.is_file() or has_image_ending(file):
        return file.is_file()
    if is_image(file):
        return True
    if ending in _OTHER_IMAGES or ending in Image.registered_extensions():
        raise InputError(
            f"{file} is of a type that is not read ({listed(sorted(FORMATS), 9)} are). Convert it "
            "to PNG, or remove it."
        )
    return False


def _refuse(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be opened: {error.strerror}. Mend its rights, or remove it."
    ) from None
