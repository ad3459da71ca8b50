"""Atomic writes leave the old file or the new one, and nothing else."""

import os
from pathlib import Path

import pytest

from vae_augment import VAEAugmentError
from vae_augment.errors import InputError, OutputExistsError
from vae_augment.files import atomic_path, check_folder, refuse_existing


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
        f"{tmp_path} exists already and was left as it is. Pass --overwrite (overwrite=True) to "
        "replace it."
    )
    assert isinstance(caught.value, VAEAugmentError | FileExistsError)
    there = tmp_path / "there"
    there.touch()
    assert refuse_existing(there, overwrite=True) == there


def late_write(path: Path) -> None:
    with atomic_path(path, overwrite=False) as temporary:
        temporary.write_text("ours")
        path.write_text("theirs")


def test_a_file_that_appeared_in_the_meantime_is_left_and_ours_lies_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OutputExistsError, match="Another process has written") as caught:
        late_write(path)
    assert path.read_text() == "theirs"
    (beside,) = set(tmp_path.iterdir()) - {path}
    assert beside.read_text() == "ours"
    assert str(caught.value).endswith(f"is in {beside}.")
    assert beside.suffix == ".bin"


def test_a_new_file_that_may_not_replace_another(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.bin", overwrite=False) as temporary:
        temporary.write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    with atomic_path(tmp_path / "a.bin", overwrite=False) as temporary:
        temporary.write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]
    with pytest.raises(OutputExistsError):
        late_write(tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_text() == "theirs"


@pytest.mark.parametrize("output", ["folder", ".", "", "pipe"])
def test_an_output_that_is_there_and_is_no_file_is_refused(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"is a folder, a pipe or a device\. Name a file, such as one in it\."
    ):
        check_folder(output)


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_folder(tmp_path / "a.bin")
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != tmp_path
    )  # root may write to any folder
    with pytest.raises(InputError) as caught:
        check_folder(tmp_path / "a.bin")
    assert str(caught.value) == (
        f"The folder {tmp_path} cannot be written, so there is no place for the output a.bin. "
        "Give another folder, or change its permissions."
    )
