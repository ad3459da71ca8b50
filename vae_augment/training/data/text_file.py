"""Text files in any of the usual encodings and compressions."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

from ...errors import InputError
from .arrays import DAMAGED

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or Windows' western code page, perhaps compressed."""
    try:
        content = _unpacked(path.read_bytes(), path)
    except InputError:
        raise
    except (*DAMAGED, lzma.LZMAError) as error:
        raise InputError(f"{path} cannot be read as a table: {error}.") from None
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _encoding(content: bytes) -> str:
    marked = [encoding for mark, encoding in _MARKS if content.startswith(mark)]
    if marked:
        return marked[0]
    if b"\0" not in content[:100]:
        return "utf-8"
    return "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"


def _unpacked(content: bytes, path: Path) -> bytes:
    """What a file holds that may be compressed, also in a .zip of one file."""
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"BZh"):
        return bz2.decompress(content)
    if content.startswith(b"\xfd7zXZ"):
        return lzma.decompress(content)
    if not content.startswith(b"PK\x03\x04"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
        if len(names) != 1:
            raise InputError(f"{path} holds {len(names)} files; unpack it and give one of them.")
        return archive.read(names[0])
