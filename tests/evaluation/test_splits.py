"""Which images are labelled, which are a pool, and which are held out."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.pictures import NOISE, grey, write_files
from vae_augment.errors import InputError
from vae_augment.evaluation.comparison import compare
from vae_augment.evaluation.splits import Source, choose_labels, held_out_per_class
from vae_augment.training import ImageData


def rows(data: ImageData) -> set[bytes]:
    return {image.numpy().tobytes() for image in data.images}


def test_labelled_images_are_balanced_and_follow_the_seed(digits: ImageData) -> None:
    one, same, other = (choose_labels(digits, seed, 3).labelled for seed in (0, 0, 1))
    assert one.labels.bincount().tolist() == [3] * 10
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)


def test_the_pool_is_all_the_rest_without_its_labels(digits: ImageData) -> None:
    labelled, pool = choose_labels(digits, 3, 4, pool=True)
    assert pool is not None
    assert set(pool.labels.tolist()) == {-1}
    assert len(pool) == len(digits) - 40
    assert not rows(labelled) & rows(pool)


def test_all_labels_leave_no_pool(digits: ImageData) -> None:
    labelled, pool = choose_labels(digits, 0, None, pool=True)
    assert (len(labelled), pool) == (len(digits), None)


def test_too_few_images_for_the_labels(digits: ImageData) -> None:
    with pytest.raises(InputError, match=r"class '0' has \d+ images to train on, fewer than 500"):
        choose_labels(digits, 0, 500)


def test_held_out_images_are_a_share_of_each_class(digits: ImageData) -> None:
    train, test = held_out_per_class(digits, 0.2, 0)
    assert not rows(train) & rows(test)
    assert len(train) + len(test) == len(digits)
    assert ((test.labels.bincount() / digits.labels.bincount()) - 0.2).abs().max() < 0.01


def test_images_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=NOISE[:5, 0])
    message = r"a\.npz has 0 classes; a comparison needs labelled images of at least two"
    with pytest.raises(InputError, match=message):
        Source(str(tmp_path / "a.npz")).load()


def test_a_class_of_one_image(tmp_path: Path) -> None:
    labels = np.array([0, 0, 0, 0, 1])
    np.savez(tmp_path / "a.npz", images=NOISE[:5, 0], labels=labels)
    images = Source(str(tmp_path / "a.npz")).load()
    with pytest.raises(InputError, match=r"class '1' of a\.npz has 1 labelled images"):
        images.for_seed(0)


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
    old = Source(str(path)).load().train
    save(path, **after)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as after a copy that keeps times
    new = Source(str(path)).load().train
    assert len(new.classes) == after["classes"]
    assert len(new) == after["count"]
    assert new.digest != old.digest


def test_a_new_source_sees_new_files_in_a_folder(tmp_path: Path) -> None:
    files = {f"{name}/{row}.png": grey(row) for name in ("a", "b") for row in range(2)}
    write_files(tmp_path, files)
    assert len(Source(str(tmp_path)).load().train.classes) == 2
    write_files(tmp_path, {f"c/{row}.png": grey(row) for row in range(2)})
    assert Source(str(tmp_path)).load().train.classes == ("a", "b", "c")


def test_compare_again_sees_the_new_data(
    tiny_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for count, classes in ((40, 2), (200, 4)):
        path = save(tmp_path / "x.npz", count, classes)
        compare(path, model=tiny_model_path, draws=1, updates=1, workers=1, methods=("none",))
    first, second = caplog.messages
    assert first.startswith("32 labelled images and 8 to test on")
    assert second.startswith("160 labelled images and 40 to test on")


@pytest.mark.filterwarnings("ignore:.*no image has the class")
def test_test_images_that_lack_a_class_are_numbered_like_the_others(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    train = {"images": NOISE[:, 0], "labels": [0, 1, 2, 0, 1, 2], "classes": names}
    np.savez(tmp_path / "train.npz", **train)
    np.savez(tmp_path / "test.npz", images=NOISE[:2, 0], labels=[2, 0], classes=names)
    images = Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),)).load()
    assert images.test is not None
    assert images.test.labels.tolist() in ([2, 0], [0, 2])
    assert images.test.classes == ("a", "b", "c")


def test_test_images_of_another_class_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", images=NOISE[:, 0], labels=[0, 1] * 3)
    np.savez(tmp_path / "test.npz", images=NOISE[:2, 0], labels=["x", "y"])
    with pytest.raises(InputError, match="They must agree"):
        Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),)).load()


def test_test_images_of_a_file_with_splits_are_its_test_images(tmp_path: Path) -> None:
    labels = [0, 1] * 3
    np.savez(tmp_path / "train.npz", images=NOISE[:, 0], labels=labels)
    both = {"train_images": NOISE[:, 0], "train_labels": labels}
    both |= {"test_images": NOISE[:2, 0], "test_labels": [0, 1]}
    np.savez(tmp_path / "test.npz", **both)
    source = Source(str(tmp_path / "train.npz"), test=(str(tmp_path / "test.npz"),))
    assert len(source.load().for_seed(0)[1]) == 2
