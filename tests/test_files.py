"""Atomic writes leave the old file or the new one, and nothing else."""

from pathlib import Path

import pytest

from vae_augment import VAEAugmentError
from vae_augment.errors import OutputExistsError
from vae_augment.files import atomic_path, refuse_existing


def test_success_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def interrupted_write(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        interrupted_write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_output_is_refused_word_for_word(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError) as caught:
        refuse_existing(tmp_path, overwrite=False)
    assert str(caught.value) == (
        f"{tmp_path} exists already and was left as it is. Pass --overwrite (overwrite=True) to replace it."
    )
    assert isinstance(caught.value, VAEAugmentError | FileExistsError)
    assert refuse_existing(tmp_path, overwrite=True) == tmp_path
