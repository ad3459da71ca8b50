"""Which images are labelled, which are a pool, and which are held out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vae_augment.errors import InputError
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
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8))
    message = r"a\.npz has 0 classes; a comparison needs labelled images of at least two"
    with pytest.raises(InputError, match=message):
        Source(str(tmp_path / "a.npz")).load()


def test_a_class_of_one_image(tmp_path: Path) -> None:
    labels = np.array([0, 0, 0, 0, 1])
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8), np.uint8), labels=labels)
    images = Source(str(tmp_path / "a.npz")).load()
    with pytest.raises(InputError, match=r"class '1' of a\.npz has 1 labelled images"):
        images.for_seed(0)
