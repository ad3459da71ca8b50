"""Sources of training images: every form that is promised, and every refusal."""

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import datasets
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
    with pytest.raises(
        InputError, match=r"odd\.png has the shape \(1, 8, 9\), but .*0\.png has \(1, 8, 8\)"
    ):
        load_data(tmp_path)


def test_folder_with_a_broken_image_names_the_file(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "a" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png cannot be read as an image"):
        load_data(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_data(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no images. Give PATH/class/image.png, or images without labels in PATH "
        "itself."
    )


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
        ({"images": np.full((2, 8, 8), 255.0)}, r"they must lie in \[0, 1\]"),
        ({"images": np.zeros((2, 8, 8), np.int32)}, r"images of type int32"),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.zeros(3)},
            "do not go with 2 images",
        ),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "holds no images"),
        ({"images": np.zeros((2, 0, 8), np.uint8)}, r"shape \(1, 0, 8\), which have no pixels"),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array(["a", "b"])},
            "labels of type <U1; give integers",
        ),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array([0.0, 1.7])},
            "give one integer per image",
        ),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array([0, np.inf])},
            "label inf is too high",
        ),
        (
            {
                "images": np.zeros((2, 8, 8), np.uint8),
                "labels": np.array([0, 2**64 - 1], np.uint64),
            },
            "is too high",
        ),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.zeros((2, 14))},
            "do not go with 2 images",
        ),
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


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_images_are_scaled(tmp_path: Path, ending: str) -> None:
    values = np.array([[0, 257, 30_000], [30_100, 65_000, 65_535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{ending}")
    assert load_data(tmp_path).images[0, 0].tolist() == [[0, 1, 117], [117, 253, 255]]


def test_float_images_are_scaled_or_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    assert load_data(tmp_path).images[0, 0].tolist() == [[0, 128, 255]]
    Image.fromarray(np.array([[0, 0.5, 200]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(
        InputError, match=r"a\.tif cannot be read as an image: its values, from 0\.0 to 200\.0"
    ):
        load_data(tmp_path)
    Image.fromarray(np.array([[0, 70_000]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"do not lie in 0\.\.65535"):
        load_data(tmp_path)


def test_linked_folders_count_and_hidden_ones_do_not(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere")
    write_folder(tmp_path / "images" / ".ipynb_checkpoints")
    (tmp_path / "images" / "own").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images" / "own" / "1.png")
    Image.new("L", (8, 8)).save(tmp_path / "images" / "own" / "._1.png")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "images" / "own" / "loop").symlink_to(tmp_path / "images")
    data = load_data(tmp_path / "images")
    assert data.classes == ("linked", "own")
    assert data.labels.tolist() == [0, 0, 1]


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


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("has_labels", [True, False])
def test_kaggles_table(tmp_path: Path, header: bool, has_labels: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 784))
    table = np.concatenate([np.array([[3], [0], [1], [3]]), images], 1) if has_labels else images
    names = [*["label"] * has_labels, *(f"pixel{index}" for index in range(784))]
    np.savetxt(
        tmp_path / "a.csv", table, "%d", ",", header=",".join(names) if header else "", comments=""
    )
    data = load_data(tmp_path / "a.csv")
    assert data.images.shape == (4, 1, 28, 28)
    assert data.images.flatten(1).tolist() == images.tolist()
    assert data.labels.tolist() == ([3, 0, 1, 3] if has_labels else [-1] * 4)
    assert data.classes == (tuple("0123") if has_labels else ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,p0,p1\n0,1,2\n", "has 3 columns; give a label and the pixels of a square image"),
        ("0,1,2,3,256\n", "each an integer from 0 to 255"),
        ("0,1,2,3,x\n1,1,2,3,4\n1,2\n", "cannot be read as a table of integers"),
    ],
)
def test_csv_refusals(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "a.csv")


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


def test_torchvisions_emnist_letters_have_no_empty_class(tmp_path: Path) -> None:
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    labels = np.repeat(np.arange(1, 27, dtype=np.uint8), 2)
    images = np.tile(np.arange(28, dtype=np.uint8), (len(labels), 28, 1))
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        (raw / f"emnist-letters-train-{kind}-ubyte").write_bytes(header + array.tobytes())
    data = load_data("emnist-letters", tmp_path)
    assert data.labels.bincount().tolist() == [2] * 26
    assert data.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    assert data.images[0, 0, :, 0].tolist() == list(range(28))  # upright


def test_other_mat_files_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    (tmp_path / "b.mat").write_bytes(b"nothing of the kind")
    for name in "ab":
        with pytest.raises(
            InputError, match=rf"{name}\.mat cannot be read as a \.mat file of EMNIST"
        ):
            load_data(tmp_path / f"{name}.mat")


def hugging_face(count: int, mode: str = "L", **columns: list[int]) -> datasets.Dataset:
    images = [Image.new(mode, (8, 8), 9 * index) for index in range(count)]
    rows = datasets.Dataset.from_dict(
        {"picture": images, "digit": [index % 3 for index in range(count)], **columns}
    )
    names = datasets.ClassLabel(names=["a", "b", "c"])
    return rows.cast(
        datasets.Features(picture=datasets.Image(), digit=names, **dict.fromkeys(columns, names))
    )


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_hugging_faces_datasets(tmp_path: Path, mode: str) -> None:
    rows = hugging_face(6, mode)
    rows.save_to_disk(tmp_path / "rows")
    both = datasets.DatasetDict(train=rows, test=rows.select([5]))
    both.save_to_disk(tmp_path / "both")
    sources = (rows, rows.with_format("torch"), both, tmp_path / "rows", str(tmp_path / "both"))
    for source in sources:
        data = load_data(source)
        assert data.images.shape == (6, 3 if mode == "RGB" else 1, 8, 8)
        assert data.images[:, 0, 0, 0].tolist() == [0, 9, 18, 27, 36, 45]
        assert (data.labels.tolist(), data.classes) == ([0, 1, 2, 0, 1, 2], ("a", "b", "c"))
    assert load_data(tmp_path / "both", train=False).labels.tolist() == [2]
    assert load_data(rows.remove_columns("digit")).labels.tolist() == [-1] * 6


def test_hugging_faces_datasets_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows, message in (
        (hugging_face(3).remove_columns("picture"), "one of the type Image is needed"),
        (
            hugging_face(3, kind=[0, 1, 2]),
            "several columns of the type ClassLabel: digit, kind. Leave one",
        ),
        (hugging_face(3).select([]), "holds no images"),
        (
            datasets.DatasetDict(validation=hugging_face(3)),
            r"has the splits \['validation'\]; one named 'train'",
        ),
        (
            datasets.concatenate_datasets([hugging_face(1), hugging_face(1, "RGB")]),
            r"Image 1 .* has the shape \(3, 8",
        ),
    ):
        with pytest.raises(InputError, match=message):
            load_data(rows)
    rows = hugging_face(1)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"Install it: pip install datasets\."):
        load_data(rows)


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
