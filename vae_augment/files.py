"""Atomic writes, of which a reader sees the old file or the new one, and digests of arrays."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, NotFoundError, OutputExistsError

SYNC_THREADS = 16


def digest_of(*arrays: NDArray[Any]) -> str:
    """The sha256 of the bytes of all arrays, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def refuse_existing(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Return `path`, or raise `OutputExistsError` when something is there and `overwrite` is false.

    What is wrong with its folder is also found here, before the work whose result it is to hold:
    see `check_folder`.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists already and was left as it is. Pass --overwrite (overwrite=True) to "
            "replace it."
        )
    check_folder(path)
    return path


def refuse_existing_files(overwrite: bool, *paths: Path | None) -> None:
    """`refuse_existing` for each path that is given."""
    for path in filter(None, paths):
        refuse_existing(path, overwrite)


def check_folder(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written to `path`.

    Raises:
        NotFoundError: there is no such folder.
        InputError: the folder cannot be written, or what is at `path` is no file.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise NotFoundError(
            f"There is no folder {path.parent} for the output {path.name}. Make it first."
        )
    if path.exists() and not path.is_file():
        raise InputError(
            f"The output {path} is a folder, a pipe or a device. Name a file, such as one in it."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(
            f"The folder {path.parent} cannot be written, so there is no place for the output "
            f"{path.name}. Give another folder, or change its permissions."
        )


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, else it is removed.

    Raises:
        OutputExistsError: without `overwrite`, when something is at `path` by then; the new file
            then lies beside it.
    """
    path = Path(path)
    token = secrets.token_hex(4)
    temporary = path.with_name(f".{path.name}.{token}.tmp{path.suffix}")
    try:
        yield temporary
        if not overwrite:
            _claim(path, temporary, path.with_name(f"{path.stem}.{token}{path.suffix}"))
        publish({temporary: path})
    finally:
        temporary.unlink(missing_ok=True)


def _claim(path: Path, temporary: Path, beside: Path) -> None:
    """Take the name `path` for the finished file in one step; if it is taken, leave it `beside`."""
    _sync(temporary)
    try:
        os.link(temporary, path)
    except FileExistsError:
        publish({temporary: beside})
        raise OutputExistsError(
            f"Another process has written {path} in the meantime. It was left as it is; what was "
            f"to be written there is in {beside}."
        ) from None
    except OSError:
        # A file system without links, where a moment stays in which both may write.
        refuse_existing(path, overwrite=False)


def identity(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes when another process writes the file; None where there is none."""
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], *, compress: bool = False
) -> None:
    """Write arrays as one .npz file, atomically; the name is `path`, whatever its ending."""
    write = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file, **arrays)


def publish(places: Mapping[Path, Path]) -> None:
    """Sync the files and rename each from its temporary path (the key) to its final one.

    Both are on the same file system.
    """
    # A journalling file system merges syncs of many threads: thousands of small files take a
    # fortieth of the time.
    with ThreadPoolExecutor(min(SYNC_THREADS, len(places))) as threads:
        list(threads.map(_sync, places))
    for temporary, place in places.items():
        os.replace(temporary, place)
    # On Windows a folder cannot be opened, and the rename is durable by itself.
    if os.name == "posix":
        for folder in {place.parent for place in places.values()}:
            _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
