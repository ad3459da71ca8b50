"""What errors of MixedDataset and AugmentedDataset advise, followed to the letter."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchvision.transforms import v2

from vae_augment import (
    AugmentedDataset,
    MixedDataset,
    VAEAugment,
    VAEAugmentError,
    VAEModel,
    VAESyntheticDataset,
)
from vae_augment.model.pixels import to_pil

SHAPE = (1, 8, 8)
NAMES = {"v2": v2, "torch": torch, "np": np, "itertools": itertools}


class Real(Dataset[Any]):
    def __init__(self, make: Callable[[Tensor, int], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        image = torch.linspace(0, 1, 64).roll(index).reshape(SHAPE)
        return self.make(image, index % 10)


def ways_in(error: pytest.ExceptionInfo[VAEAugmentError]) -> list[str]:
    return re.findall("`([^`]+)`", str(error.value))


def as_uint8(image: Tensor) -> Tensor:
    return (image * 255).to(torch.uint8)


def pil(image: Tensor) -> Image.Image:
    return to_pil(as_uint8(image))


ITEMS: dict[str, Callable[[Tensor, int], Any]] = {
    # Images
    "uint8": lambda image, label: (as_uint8(image), label),
    "double": lambda image, label: (image.double(), label),
    "half": lambda image, label: (image.half(), label),
    "0..255": lambda image, label: (image * 255, label),
    "without an axis of channels": lambda image, label: (image[0], label),
    "bytes without an axis of channels": lambda image, label: (as_uint8(image)[0], label),
    "three channels": lambda image, label: (image.repeat(3, 1, 1), label),
    "of another size": lambda image, label: (torch.rand(1, 12, 10), label),
    "three channels of another size": lambda image, label: (torch.rand(3, 12, 10), label),
    "PIL": lambda image, label: (pil(image), label),
    "PIL RGB": lambda image, label: (pil(image).convert("RGB"), label),
    "PIL of mode 1": lambda image, label: (pil(image).convert("1"), label),
    "PIL of another size": lambda image, label: (pil(image).resize((10, 12)), label),
    "array [H, W] of bytes": lambda image, label: (as_uint8(image)[0].numpy(), label),
    "array [H, W, 3] of bytes": lambda image, label: (np.array(pil(image).convert("RGB")), label),
    "array [1, H, W] of bytes": lambda image, label: (as_uint8(image).numpy(), label),
    "array [1, H, W]": lambda image, label: (image.numpy(), label),
    "array [H, W]": lambda image, label: (image[0].numpy(), label),
    "array of doubles": lambda image, label: (image.double().numpy(), label),
    # Labels
    "0-d tensors": lambda image, label: (image, torch.tensor(label)),
    "1-d tensors": lambda image, label: (image, torch.tensor([label])),
    "tensors of int32": lambda image, label: (image, torch.tensor(label, dtype=torch.int32)),
    "tensors of floats": lambda image, label: (image, torch.tensor(float(label))),
    "arrays of one number": lambda image, label: (image, np.array([label])),
    "0-d arrays": lambda image, label: (image, np.array(label, np.uint8)),
    "floats": lambda image, label: (image, float(label)),
    "NumPy's floats": lambda image, label: (image, np.float32(label)),
    "names": lambda image, label: (image, str(label)),
    # Both, and forms
    "bytes and tensors": lambda image, label: (as_uint8(image), torch.tensor(label)),
    "dicts": lambda image, label: {"image": image, "label": label},
    "dicts, label first": lambda image, label: {"fine": label, "img": image},
    "dicts of PIL images": lambda image, label: {"image": pil(image), "label": label},
}


@pytest.mark.parametrize("form", ITEMS)
def test_following_it_makes_items_that_fit(form: str, tiny_model: VAEModel) -> None:
    real = Real(ITEMS[form])
    arguments: dict[str, Any] = {}
    for _ in range(3):
        synthetic = VAESyntheticDataset(tiny_model, 20, **arguments)
        try:
            data = MixedDataset(real, synthetic)
            break
        except VAEAugmentError as error:
            (way,) = re.findall("`([^`]+)`", str(error))
            arguments |= eval(f"dict({way})", {**NAMES, "synthetic": synthetic})
    assert arguments
    collate = list if "PIL" in form or form == "names" else None
    assert len(next(iter(DataLoader(data, batch_size=8, collate_fn=collate)))) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda image, label: (image, torch.zeros(14)), "several labels: give real a target_trans"),
        (lambda image, label: (image, [0, 1]), "give real items of that form"),
        (lambda image, label: image, "give real items of that form"),
        (lambda image, label: (image, label, "path"), "give real items of that form"),
    ],
)
def test_what_synthetic_items_cannot_be_like(
    make: Callable[[Tensor, int], Any], message: str, tiny_model: VAEModel
) -> None:
    with pytest.raises(VAEAugmentError, match=message):
        MixedDataset(Real(make), VAESyntheticDataset(tiny_model, 20))


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(torch.rand(SHAPE), 3)] * 5)


class SizedStream(Stream):
    def __len__(self) -> int:
        return 5


def rows() -> list[dict[str, Any]]:
    return [{"image": pil(torch.rand(SHAPE)), "label": 3}] * 5


def streamed() -> Any:
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list("0123456789"))}
    )
    return datasets.Dataset.from_list(rows(), features=features).to_iterable_dataset()


NO_ITEMS: dict[str, Callable[[], Any]] = {
    "a stream of Hugging Face": streamed,
    "a stream of torch": Stream,
    "a stream that knows its length": SizedStream,
    "a generator": lambda: (item for item in [(torch.rand(SHAPE), 3)] * 5),
    "splits": lambda: datasets.DatasetDict({"train": datasets.Dataset.from_list(rows())}),
    "a loader": lambda: DataLoader(TensorDataset(torch.rand(5, *SHAPE), torch.arange(5))),
}


@pytest.mark.parametrize("form", NO_ITEMS)
def test_what_has_no_items_to_choose_from(form: str, tiny_model: VAEModel) -> None:
    augment = VAEAugment(tiny_model)
    given = NO_ITEMS[form]()
    with pytest.raises(VAEAugmentError, match=r"^dataset is a") as error:
        AugmentedDataset(given, augment)
    with pytest.raises(VAEAugmentError, match=r"^real is a"):
        MixedDataset(given, VAESyntheticDataset(tiny_model, 5))
    with pytest.raises(VAEAugmentError, match=r"^synthetic is a"):
        MixedDataset(VAESyntheticDataset(tiny_model, 5), given)
    (way,) = ways_in(error)
    found = eval(way, {**NAMES, "dataset": given})
    data = AugmentedDataset(found, augment)
    assert len(data) == 5
    data[4]
