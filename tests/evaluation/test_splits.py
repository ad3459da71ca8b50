"""Where the images of a comparison come from: what lies at a path now, classes by their names."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.pictures import NOISE, grey, write_files
from vae_augment.errors import InputError
from vae_augment.evaluation.comparison import compare
from vae_augment.evaluation.splits import Source


def save(path: Path, count: int, classes: int, seed: int = 0) -> Path:
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8)).astype(np.uint8)
    np.savez(path, images=images, labels=np.arange(count) % classes)
    return path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"count": 40, "classes": 2}, {"count": 200, "classes": 4}),
        ({"count": 40, "classes": 2}, {"count": 40, "classes": 4}),
        ({"count": 40, "classes": 2}, {"count": 40, "classes": 2, "seed": 1}),
    ],
)
def test_a_new_source_sees_what_has_changed(
    before: dict[str, int], after: dict[str, int], tmp_path: Path
) -> None:
    path = save(tmp_path / "x.npz", **before)
    times = path.stat()
    old, _ = Source(str(path)).load(0)
    save(path, **after)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as after a copy that keeps times
    new, _ = Source(str(path)).load(0)
    assert len(new.classes) == after["classes"]
    assert len(new) == after["count"] * 4 // 5
    assert new.digest != old.digest


def test_a_new_source_sees_new_files_in_a_folder(tmp_path: Path) -> None:
    files = {f"{name}/{row}.png": grey(row) for name in ("a", "b") for row in range(2)}
    write_files(tmp_path, files)
    assert len(Source(str(tmp_path)).load(0)[0].classes) == 2
    write_files(tmp_path, {f"c/{row}.png": grey(row) for row in range(2)})
    assert Source(str(tmp_path)).load(0)[0].classes == ("a", "b", "c")


def test_compare_again_sees_the_new_data(tiny_model_path: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for count, classes in ((40, 2), (200, 4)):
        path = save(tmp_path / "x.npz", count, classes)
        compare(path, model=tiny_model_path, draws=1, updates=1, workers=1, say=said.append)
    assert said[0].startswith("32 labelled images and 8 to test on")
    assert said[1].startswith("160 labelled images and 40 to test on")


def test_images_are_read_once_for_a_source(tmp_path: Path) -> None:
    source = Source(str(save(tmp_path / "x.npz", 40, 2)))
    first, _ = source.load(0)
    (tmp_path / "x.npz").unlink()
    assert source.load(0)[0].digest == first.digest


@pytest.mark.filterwarnings("ignore:.*no image has the class")
def test_test_images_that_lack_a_class_are_numbered_like_the_others(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    train = {"images": NOISE[:, 0], "labels": [0, 1, 2, 0, 1, 2], "classes": names}
    np.savez(tmp_path / "train.npz", **train)
    np.savez(tmp_path / "test.npz", images=NOISE[:2, 0], labels=[2, 0], classes=names)
    images = Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),)).load(0)
    assert images[1].labels.tolist() in ([2, 0], [0, 2])
    assert images[1].classes == ("a", "b", "c")


def test_test_images_of_another_class_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", images=NOISE[:, 0], labels=[0, 1] * 3)
    np.savez(tmp_path / "test.npz", images=NOISE[:2, 0], labels=["x", "y"])
    with pytest.raises(InputError, match="They must agree"):
        Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),)).load(0)


def test_test_images_of_a_file_with_splits_are_its_test_images(tmp_path: Path) -> None:
    labels = [0, 1] * 3
    np.savez(tmp_path / "train.npz", images=NOISE[:, 0], labels=labels)
    both = {"train_images": NOISE[:, 0], "train_labels": labels}
    both |= {"test_images": NOISE[:2, 0], "test_labels": [0, 1]}
    np.savez(tmp_path / "test.npz", **both)
    source = Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),))
    assert len(source.load(0)[1]) == 2
