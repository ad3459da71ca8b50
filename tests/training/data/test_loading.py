"""Sources of training images: every form that is promised, and every refusal."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from tests.helpers import DATA, needs_mnist
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
@pytest.mark.parametrize(
    ("name", "first"), [("mnist", "0 - zero"), ("fashion-mnist", "T-shirt/top")]
)
def test_torchvision_sets(name: str, first: str) -> None:
    data = load_data(name, DATA, train=False)
    assert data.images.shape == (10_000, 1, 28, 28)
    assert data.classes[0] == first
    assert data.labels.bincount().tolist() == data.labels.bincount(minlength=10).tolist()


def write_folder(root: Path, mode: str = "L", size: tuple[int, int] = (8, 8)) -> Path:
    for name in ("b", "a"):
        (root / name).mkdir(parents=True)
        for index in range(2):
            Image.effect_noise(size, 200).convert(mode).save(root / name / f"{index}.png")
    return root


def test_folder_of_class_folders(tmp_path: Path) -> None:
    data = load_data(write_folder(tmp_path / "images", "RGB"))
    assert data.classes == ("a", "b")
    assert data.images.shape == (4, 3, 8, 8)
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_folder_without_classes_is_unlabelled(tmp_path: Path) -> None:
    Image.effect_noise((8, 8), 200).save(tmp_path / "one.png")
    data = load_data(tmp_path)
    assert (data.classes, data.labels.tolist()) == ((), [-1])


@pytest.mark.parametrize(
    "shape", [(5, 9, 9), (5, 1, 9, 9), (5, 9, 9, 1), (5, 9, 9, 3), (5, 3, 9, 9)]
)
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
        (
            {"images": np.zeros((2, 5, 5, 5), np.uint8)},
            r"give \[N,H,W\], \[N,C,H,W\] or \[N,H,W,C\]",
        ),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "holds no images"),
        ({"images": np.zeros((2, 0, 8), np.uint8)}, r"shape \(1, 0, 8\), which have no pixels"),
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


@pytest.mark.parametrize("position", [60, 160, -60, -10])
def test_damaged_npz_names_the_file(tmp_path: Path, position: int) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.arange(128, dtype=np.uint8).reshape(2, 8, 8))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[position : position + 9] = b"\xff" * 9
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz cannot be read as \.npz"):
        load_data(tmp_path / "a.npz")


def test_a_single_array_is_not_an_npz(tmp_path: Path) -> None:
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"a\.npz cannot be read as \.npz"):
        load_data(tmp_path / "a.npz")


def test_a_program_in_the_guise_of_an_image_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(
        "PIL.EpsImagePlugin.Ghostscript",
        lambda *_, **__: started.append(1) or Image.new("RGB", (8, 8)),
    )
    header = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_bytes(header)
    with pytest.raises(InputError, match=r"a\.png cannot be read as an image"):
        load_data(tmp_path)
    assert not started


def test_an_image_of_too_many_pixels_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, size=(32, 32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"0\.png cannot be read as an image: .*exceeds limit"):
        load_data(tmp_path)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_medmnist(tmp_path: Path, channels: tuple[int, ...]) -> None:
    generator, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 6), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = generator.integers(0, 256, (count, 28, 28, *channels), np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 4
    np.savez_compressed(tmp_path / "bloodmnist.npz", **arrays)
    train, test = (load_data(tmp_path / "bloodmnist.npz", train=train) for train in (True, False))
    assert train.images.shape == (6, 3 if channels else 1, 28, 28)
    assert train.labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert test.labels.tolist() == [0, 1, 2, 3]
    assert test.images[1, 0, 2, 5] == arrays["test_images"][1, 2, 5].flat[0]
    assert train.classes == tuple("0123")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_anywhere(tmp_path: Path, ending: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    write: Callable[..., IO[bytes]] = gzip.open if ending else open
    path = tmp_path / f"train-images-idx3-ubyte{ending}"
    with write(path, "wb") as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, 3, 28, 28) + images.tobytes())
    assert load_data(path).labels.tolist() == [-1, -1, -1]
    with write(tmp_path / f"train-labels-idx1-ubyte{ending}", "wb") as file:
        file.write(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes([2, 0, 1]))
    data = load_data(path)
    assert torch.equal(data.images[:, 0], torch.from_numpy(images))
    assert (data.labels.tolist(), data.classes) == ([2, 0, 1], tuple("012"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read as IDX"):
        load_data(path)


def test_kuzushijis_pair_of_files(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    path = tmp_path / "kmnist-train-imgs.npz"
    np.savez_compressed(path, images)
    assert load_data(path).labels.tolist() == [-1] * 5
    np.savez_compressed(tmp_path / "kmnist-train-labels.npz", np.array([3, 0, 1, 3, 2], np.uint8))
    data = load_data(path)
    assert torch.equal(data.images[:, 0], torch.from_numpy(images))
    assert (data.labels.tolist(), data.classes) == ([3, 0, 1, 3, 2], tuple("0123"))


@pytest.mark.parametrize("is_letters", [True, False])
def test_emnists_mat(tmp_path: Path, is_letters: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    labels = np.array([1, 2, 3, 1, 2, 3], np.uint8)[:, None]
    mapping = np.array(
        [[1, 65, 97], [2, 66, 98], [3, 67, 99]]
        if is_letters
        else [[0, 48], [1, 49], [2, 65], [3, 98]]
    )
    parts = {
        part: {
            "images": images[rows].transpose(0, 2, 1).reshape(-1, 784),
            "labels": labels[rows],
            "writers": labels,
        }
        for part, rows in (("train", slice(4)), ("test", slice(4, 6)))
    }
    savemat(
        tmp_path / "emnist.mat",
        {"dataset": {**parts, "mapping": mapping.astype(np.uint8)}},
        do_compression=True,
    )
    train, test = (load_data(tmp_path / "emnist.mat", train=train) for train in (True, False))
    assert torch.equal(torch.cat([train.images, test.images])[:, 0], torch.from_numpy(images))
    first = 0 if is_letters else 1  # no class is left empty
    assert (train.labels - first).tolist() == [0, 1, 2, 0]
    assert (test.labels - first).tolist() == [1, 2]
    assert train.classes == (("a", "b", "c") if is_letters else ("0", "1", "A", "b"))


def test_other_mat_files_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    (tmp_path / "b.mat").write_bytes(b"nothing of the kind")
    for name in "ab":
        with pytest.raises(
            InputError, match=rf"{name}\.mat cannot be read as a \.mat file of EMNIST"
        ):
            load_data(tmp_path / f"{name}.mat")


def test_unknown_source_lists_the_names() -> None:
    with pytest.raises(NotFoundError, match="There is no data 'minst': it is neither a folder"):
        load_data("minst")


def test_named_data_needs_a_root_and_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass --root DIR"):
        load_data("mnist")
    for name in ("mnist", "emnist-letters", "usps"):
        with pytest.raises(
            NotFoundError, match=f"{name} is not in .*Pass --download to fetch it there"
        ):
            load_data(name, tmp_path)


def test_subset_keeps_the_classes(digits: ImageData) -> None:
    part = digits.subset(torch.tensor([5, 3]))
    assert len(part) == 2
    assert part.classes == digits.classes
    assert torch.equal(part.images[0], digits.images[5])


def test_a_folder_keeps_the_names_of_its_files(tmp_path: Path) -> None:
    data = load_data(write_folder(tmp_path))
    assert data.files == ("a/0.png", "a/1.png", "b/0.png", "b/1.png")
    assert data.subset(data.labels == 1).files == ("b/0.png", "b/1.png")
    assert data.subset(torch.tensor([2, 0])).files == ("b/0.png", "a/0.png")


def test_named_sets_have_two_splits_and_labels_that_can_be_left_out() -> None:
    test = load_data("digits", split="test")
    assert torch.equal(test.images, load_data("digits", train=False).images)
    plain = load_data("digits", labels=False)
    assert (plain.classes, plain.labels.unique().tolist()) == ((), [-1])
    with pytest.raises(InputError, match="digits has the splits 'test', 'train', of which none"):
        load_data("digits", split="val")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("images.npy", r"numpy\.savez\(PATH, images"),
        ("images.zip", "Unpack it"),
        ("images.parquet", r"load_dataset\('parquet'"),
        ("images.pt", "Save it as one of these"),
        ("train-labels-idx1-ubyte", "Give the file of the images"),
    ],
)
def test_files_of_other_kinds(name: str, way: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(InputError, match=f"is not a kind of file that is read.*{way}"):
        load_data(tmp_path / name)


def test_arrays_are_not_paths() -> None:
    with pytest.raises(InputError, match=r"not ndarray\. Give tensors to ImageData"):
        load_data(np.zeros((3, 8, 8)))
