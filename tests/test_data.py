"""Sources of training images: every form that is promised, and every refusal."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import DATA, needs_mnist
from vae_augment.errors import InputError, NotFoundError
from vae_augment.training import ImageData, load_data


def test_digits_are_split_and_scaled() -> None:
    train, test = load_data("digits"), load_data("digits", train=False)
    assert (len(train), len(test)) == (1297, 500)
    assert train.image_shape == (1, 8, 8)
    assert train.images.dtype is torch.uint8
    assert (int(train.images.min()), int(train.images.max())) == (0, 255)
    assert train.classes == tuple("0123456789")


@needs_mnist
@pytest.mark.parametrize(("name", "first"), [("mnist", "0 - zero"), ("fashion-mnist", "T-shirt/top")])
def test_torchvision_sets(name: str, first: str) -> None:
    data = load_data(name, DATA, train=False)
    assert data.images.shape == (10_000, 1, 28, 28)
    assert data.classes[0] == first
    assert data.labels.bincount().tolist() == data.labels.bincount(minlength=10).tolist()


def write_folder(root: Path, mode: str = "L", size: tuple[int, int] = (8, 8)) -> Path:
    for name in ("b", "a"):
        (root / name).mkdir(parents=True)
        for index in range(2):
            Image.new(mode, size, index).save(root / name / f"{index}.png")
    return root


def test_folder_of_class_folders(tmp_path: Path) -> None:
    data = load_data(write_folder(tmp_path / "images", "RGB"))
    assert data.classes == ("a", "b")
    assert data.images.shape == (4, 3, 8, 8)
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_folder_without_classes_is_unlabelled(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    data = load_data(tmp_path)
    assert (data.classes, data.labels.tolist()) == ((), [-1])


def test_folder_with_different_sizes_names_the_file(tmp_path: Path) -> None:
    write_folder(tmp_path)
    Image.new("L", (9, 8)).save(tmp_path / "b" / "odd.png")
    with pytest.raises(InputError, match=r"odd\.png has the shape \(1, 8, 9\), but .*0\.png has \(1, 8, 8\)"):
        load_data(tmp_path)


def test_folder_with_a_broken_image_names_the_file(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "a" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png cannot be read as an image"):
        load_data(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_data(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no images. Give PATH/class/image.png, or images without labels in PATH itself."
    )


@pytest.mark.parametrize("shape", [(5, 9, 9), (5, 1, 9, 9), (5, 9, 9, 1), (5, 9, 9, 3), (5, 3, 9, 9)])
def test_npz_layouts_and_types(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.npz"
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(5))
    data = load_data(path)
    assert data.images.shape == (5, 3 if 3 in shape else 1, 9, 9)
    assert data.classes == tuple("01234")
    np.savez(path, images=images / 255.0)
    as_float = load_data(path)
    assert torch.equal(as_float.images, data.images)
    assert as_float.labels.tolist() == [-1] * 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros(3)}, "one named 'images' is needed"),
        ({"images": np.zeros((2, 5, 5, 5), np.uint8)}, r"give \[N,H,W\], \[N,C,H,W\] or \[N,H,W,C\]"),
        ({"images": np.full((2, 8, 8), 255.0)}, r"they must lie in \[0, 1\]"),
        ({"images": np.zeros((2, 8, 8), np.int32)}, r"images of type int32"),
        ({"images": np.zeros((2, 8, 8), np.uint8), "labels": np.zeros(3)}, "do not go with 2 images"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "holds no images"),
    ],
)
def test_npz_refusals(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "a.npz")


def test_truncated_npz_names_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), np.uint8))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a\.npz cannot be read as \.npz"):
        load_data(tmp_path / "a.npz")


def test_unknown_source_lists_the_names() -> None:
    with pytest.raises(NotFoundError, match="There is no data 'minst': it is neither a folder"):
        load_data("minst")


def test_named_data_needs_a_root_and_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass --root DIR"):
        load_data("mnist")
    for name in ("mnist", "emnist-letters", "usps"):
        with pytest.raises(NotFoundError, match=f"{name} is not in .*Pass --download to fetch it there"):
            load_data(name, tmp_path)


def test_subset_keeps_the_classes(digits: ImageData) -> None:
    part = digits.subset(torch.tensor([5, 3]))
    assert len(part) == 2
    assert part.classes == digits.classes
    assert torch.equal(part.images[0], digits.images[5])
