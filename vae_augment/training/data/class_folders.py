"""The class folders below a folder: those that torchvision's `ImageFolder` would see."""

import warnings
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from .column_names import listed
from .folder_files import folders_in, has_image_ending, image_files, is_hidden
from .options import ReadOptions, advice
from .split_names import choose_split, kind_of_split

_TABLES = (".csv", ".tsv", ".jsonl")


class ClassFolders(NamedTuple):
    """A folder, the images below it, the class folder of each (None = beside them), all of these.

    `split` is the name of the folder where it is a split.
    """

    root: Path
    images: list[Path]
    folders: list[str | None]
    classes: list[str]
    split: str | None

    def labels(self) -> list[int]:
        """The number of each image's class, -1 of those beside the class folders."""
        number = {name: index for index, name in enumerate(self.classes)}
        return [-1 if name is None else number[name] for name in self.folders]


def find_class_folders(path: Path, options: ReadOptions) -> ClassFolders:
    """The classes and images below `path`, or below that of the split where it holds splits.

    Raises:
        InputError: no images, a class without any, a folder above that of the class folders, or
            splits of which none was chosen.
    """
    split = _split(path, options)
    root = path if split is None else path / split
    images, hidden, others = image_files(root)
    parts = [image.relative_to(root).parts for image in images]
    folders = [first if rest else None for first, *rest in parts]
    classes = [folder.name for folder in folders_in(root)]
    found = ClassFolders(root, images, folders, classes, split)
    _check_classes(found)
    _check_depth(found)
    _warn_of_left_out(root, hidden, others)
    return found


def _split(path: Path, options: ReadOptions) -> str | None:
    """The folder of the split to read; None where the folders in `path` are no splits."""
    folders = [folder for folder in folders_in(path) if kind_of_split(folder.name)]
    names = [folder.name for folder in folders]
    others = [folder for folder in folders_in(path) if folder not in folders]
    are_several = len({kind_of_split(name) for name in names}) > 1
    if not folders or (not are_several and any(_holds_images(folder) for folder in others)):
        return None  # one alone could be a class, such as a train beside a car
    have_classes = all(folders_in(folder) for folder in folders)
    is_flat = any(has_image_ending(file) for file in path.iterdir())
    if options.split is None and (is_flat or not have_classes):
        first = max(names, key=lambda name: kind_of_split(name) == "train")
        raise InputError(
            f"{path} has the folders {listed(names)}, which look like splits, not like classes. "
            f"Choose one: {advice('split', first)}."
        )
    return choose_split(names, options, path)


def _check_classes(found: ClassFolders) -> None:
    """Refuse a folder without images, an empty class, and names that cannot be those of classes."""
    if not found.images:
        raise InputError(
            f"{found.root} holds no images. Give PATH/class/image.png, or images without labels in "
            "PATH itself."
        )
    filled = set(found.folders)
    for name in found.classes:
        if name not in filled:
            raise InputError(
                f"{found.root / name} holds no images that are read, so it cannot be a class. Put "
                "images there, or remove it."
            )
        if not name.isprintable():
            raise InputError(
                f"The name of the folder {str(found.root / name)!r} is not in UTF-8, or has "
                "characters that cannot be shown, so it cannot name a class. Rename it."
            )


def _check_depth(found: ClassFolders) -> None:
    """Refuse a folder above that of the classes; warn where labels may be meant otherwise."""
    root, images, folders, classes, _ = found
    own = {image.parent for image in images}
    deep = [name for name in classes if root / name not in own]
    if len(classes) == 1 and deep and root not in own:
        lowest = _below_lone_folders(root, own)
        inner = [folder.name for folder in folders_in(lowest)]
        raise InputError(
            f"{root} holds only the folder {lowest.relative_to(root)}, and that the folders "
            f"{listed(inner)}. Give the folder that holds the class folders: {lowest}."
        )
    if deep:
        warnings.warn(
            f"{root}: the images of {listed(deep)} lie in folders of their own, such as "
            f"{images[folders.index(deep[0])].relative_to(root)}; they all get the class "
            f"{deep[0]!r}.",
            stacklevel=3,
        )
    tables = [] if classes else [file.name for file in root.iterdir() if _is_table(file)]
    if tables:
        warnings.warn(
            f"{root}: {listed(sorted(tables))} is not read, so the images have no labels. Sort "
            "them into a folder per class.",
            stacklevel=3,
        )


def _holds_images(folder: Path) -> bool:
    return any(has_image_ending(file) for file in folder.rglob("*"))


def _warn_of_left_out(root: Path, hidden: list[Path], others: list[Path]) -> None:
    """Say which folders were left out that look like classes, and which files of no known kind."""
    names = [folder.name for folder in hidden if folder.parent == root]
    if names:
        warnings.warn(
            f"{root}: hidden and system folders are left out: {listed(names)}.", stacklevel=5
        )
    if others:
        files = listed(file.relative_to(root) for file in others)
        warnings.warn(f"{root}: files that are no images are left out: {files}.", stacklevel=5)


def _below_lone_folders(folder: Path, own: set[Path]) -> Path:
    """The first folder from `folder` down that holds images, or more than one folder."""
    inner = folders_in(folder)
    is_lone = len(inner) == 1 and folder not in own and inner[0] not in own
    return _below_lone_folders(inner[0], own) if is_lone else folder


def _is_table(file: Path) -> bool:
    return file.suffix.lower() in _TABLES and not is_hidden(file.name)
