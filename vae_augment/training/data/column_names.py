"""The names by which tables, archives and data sets call their labels, and what is no label."""

import re
from collections.abc import Iterable

LABELS = frozenset(
    "label labels class classes class_id class_name classname target targets y digit digits letter "
    "letters character category".split()
)
_IDS = frozenset(
    "id ids index idx key row row_id rowid image_id imageid file files filename file_name path "
    "image_path name level_0".split()
)


def is_label(name: str) -> bool:
    """Whether a column of this name holds labels, as far as names tell."""
    return plain(name) in LABELS


def is_id(name: str) -> bool:
    """Whether a column of this name numbers or names the rows, as pandas' unnamed index does."""
    return plain(name) in _IDS or re.fullmatch(r"|unnamed: \d+(\.\d+)?", plain(name)) is not None


def plain(name: str) -> str:
    """The name in lower case, words joined by underscores."""
    return re.sub(r"(?<=\w)[ -](?=\w)", "_", name.strip().lower())


def listed(names: Iterable[object], most: int = 6) -> str:
    """The first names, for a message."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown}, ... ({len(texts)})"
