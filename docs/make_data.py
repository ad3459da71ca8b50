"""Fills the tables of docs/data.md from the cases that tests/training/data runs.

Python docs/make_data.py
"""

import sys
from pathlib import Path

PAGE = Path(__file__).parent / "data.md"
sys.path.insert(0, str(PAGE.parents[1]))

from tests.training.data import (  # noqa: E402
    test_archives,
    test_emnist,
    test_folders,
    test_hugging_face,
    test_image_files,
    test_labels,
    test_small_images,
    test_tables,
    test_transparency,
    test_value_range,
)
from tests.training.data.cases import Case  # noqa: E402
from tests.training.data.cases import filled as filled_with  # noqa: E402

CASES: dict[str, list[Case]] = {
    "folders": test_folders.CASES,
    "image files": test_image_files.CASES,
    "transparency": test_transparency.CASES,
    "archives": test_archives.CASES,
    "tables": test_tables.CASES,
    "EMNIST": test_emnist.CASES,
    "Hugging Face": test_hugging_face.CASES,
    "labels": test_labels.CASES,
    "values": test_value_range.CASES,
    "sizes": test_small_images.CASES,
}


def filled(page: str) -> str:
    """The page with every table as it is now."""
    return filled_with(page, CASES)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
