"""torchvision's EMNIST, whose images are transposed, beside upright ones."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision import tv_tensors
from torchvision.datasets import EMNIST
from torchvision.transforms import v2

from vae_augment import AugmentedDataset, MixedDataset, VAEAugment, VAEAugmentError
from vae_augment.datasets.orientation import holds_transposed
from vae_augment.transforms import transposed

COUNT = 12
UPRIGHT = np.zeros((28, 28), np.uint8)
UPRIGHT[4:6, 4:24] = 255  # the letter Γ
UPRIGHT[6:24, 4:6] = 200

TO_FLOAT = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]


class Upright(Dataset[Any]):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(UPRIGHT)[None] / 255, index % 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    images = struct.pack(">4I", 0x803, COUNT, 28, 28) + UPRIGHT.T.tobytes() * COUNT
    labels = struct.pack(">2I", 0x801, COUNT) + bytes(index % 10 for index in range(COUNT))
    for part in ("train", "test"):
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            path = raw / f"emnist-digits-{part}-{kind}-ubyte"
            path.write_bytes(content)
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    return folder


def emnist(root: Path, *steps: Any) -> EMNIST:
    return EMNIST(root, split="digits", transform=v2.Compose([*steps, *TO_FLOAT]))


AS_STORED: dict[str, Callable[[Path], Any]] = {
    "alone": emnist,
    "behind Subset": lambda root: Subset(emnist(root), [7, 3]),
    "behind ConcatDataset": lambda root: ConcatDataset([emnist(root), emnist(root)]),
    "normalised": lambda root: EMNIST(
        root, "digits", transform=v2.Compose([*TO_FLOAT, v2.Normalize([0.1], [0.3])])
    ),
    "of another size": lambda root: emnist(root, v2.Resize((14, 20))),
    "turned twice": lambda root: emnist(root, v2.Lambda(transposed), v2.Lambda(transposed)),
    "as PIL": lambda root: EMNIST(root, "digits"),
}
TURNED: dict[str, Callable[[Path], Any]] = {
    "by transposed": lambda root: emnist(root, v2.Lambda(transposed)),
    "behind Subset": lambda root: Subset(emnist(root, v2.Lambda(transposed)), [7, 3]),
    "by another function": lambda root: EMNIST(
        root, "digits", transform=v2.Compose([*TO_FLOAT, v2.Lambda(lambda image: image.mT)])
    ),
    "by rotation and reflection": lambda root: EMNIST(
        root,
        "digits",
        transform=v2.Compose(
            [
                v2.Lambda(lambda image: v2.functional.rotate(image, -90)),
                v2.Lambda(v2.functional.hflip),
                *TO_FLOAT,
            ]
        ),
    ),
    "around it": lambda root: AugmentedDataset(emnist(root), v2.Lambda(transposed)),
}


@pytest.mark.parametrize("name", AS_STORED)
def test_images_as_stored_are_found(name: str, root: Path) -> None:
    assert holds_transposed(AS_STORED[name](root))


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.filterwarnings("ignore:The images are transposed:UserWarning")
def test_images_that_were_turned_are_not(name: str, root: Path) -> None:
    assert not holds_transposed(TURNED[name](root))
    MixedDataset(TURNED[name](root), Upright())


def test_a_mixture_is_refused_with_a_way_out(root: Path) -> None:
    pairs = [(emnist(root), Upright()), (Upright(), Subset(emnist(root), range(5)))]
    for sides in pairs:
        with pytest.raises(VAEAugmentError, match="as torchvision's EMNIST holds them") as error:
            MixedDataset(*sides)
    way = str(error.value).split("`")[1]
    first = eval(f"dict({way})", {"v2": v2, "transposed": transposed})["transform"]
    data = MixedDataset(emnist(root, first), Upright())
    for image, _ in data.__getitems__(range(2 * COUNT)):
        torch.testing.assert_close(image, torch.from_numpy(UPRIGHT)[None] / 255)


def test_other_datasets_are_left_alone() -> None:
    assert not holds_transposed(Upright())


def test_augmented_images_get_a_warning(root: Path, tiny_model: Any) -> None:
    with pytest.warns(UserWarning, match="The images are transposed"):
        AugmentedDataset(emnist(root), VAEAugment(tiny_model))
    AugmentedDataset(emnist(root, v2.Lambda(transposed)), VAEAugment(tiny_model))


def test_transposed_keeps_the_type() -> None:
    image = torch.rand(3, 4, 5)
    assert torch.equal(transposed(image), image.mT)
    assert isinstance(transposed(tv_tensors.Image(image)), tv_tensors.Image)
    picture = transposed(Image.fromarray(UPRIGHT))
    assert np.array_equal(np.asarray(picture), UPRIGHT.T)
