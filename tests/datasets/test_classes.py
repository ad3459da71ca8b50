"""Names of classes and labels, found behind other datasets without loading an item."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets as hugging_face
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from vae_augment import (
    AugmentedDataset,
    MixedDataset,
    VAEAugment,
    VAEAugmentError,
    VAEModel,
    VAESyntheticDataset,
    top_up,
)

SHAPE = (1, 8, 8)
COUNT = 20
IN_ORDER = list("0123456789")
REVERSED = IN_ORDER[::-1]


class Real(Dataset[Any]):
    """As torchvision's datasets: raw `targets`, and a `target_transform` for the items."""

    def __init__(
        self,
        classes: list[str] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        may_load: bool = True,
    ) -> None:
        self.classes = REVERSED if classes is None else classes
        self.targets = [index % 10 for index in range(COUNT)]
        self.target_transform = target_transform
        self.may_load = may_load

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        assert self.may_load
        label = self.targets[index]
        return torch.rand(SHAPE), self.target_transform(label) if self.target_transform else label


class Wrapper(Dataset[Any]):
    """What people write around a dataset."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Any:
        return self.base[index]


class PlainWrapper:
    def __init__(self, parts: dict[str, Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts["train"])

    def __getitem__(self, index: int) -> Any:
        return self.parts["train"][index]


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda real: real,
    "Subset": lambda real: Subset(real, range(5)),
    "random_split": lambda real: random_split(real, [5, COUNT - 5])[0],
    "ConcatDataset": lambda real: ConcatDataset([real, real]),
    "ConcatDataset, second": lambda real: ConcatDataset(
        [TensorDataset(torch.rand(5, *SHAPE), torch.arange(5)), real]
    ),
    "Subset of ConcatDataset of Subset": lambda real: Subset(
        ConcatDataset([Subset(real, range(9)), real]), range(12)
    ),
    "a wrapper of one's own": Wrapper,
    "a wrapper that is no Dataset": lambda real: PlainWrapper({"train": real}),
    "both": lambda real: PlainWrapper({"train": Wrapper(Subset(real, range(9)))}),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_contradictions_are_found_behind(name: str, tiny_model: VAEModel) -> None:
    change = torch.as_tensor if name == "ConcatDataset, second" else None
    synthetic = VAESyntheticDataset(tiny_model, 20, target_transform=change)
    real = WRAPPERS[name](Real(target_transform=change))
    with pytest.raises(VAEAugmentError, match="The class '9' has label 0 in real, but 9 in synth"):
        MixedDataset(real, synthetic)
    MixedDataset(WRAPPERS[name](Real(IN_ORDER, change)), synthetic)


@pytest.mark.parametrize("name", WRAPPERS)
def test_contradictions_are_found_behind_ours(name: str, tiny_model: VAEModel) -> None:
    augmented = AugmentedDataset(WRAPPERS[name](Real()), VAEAugment(tiny_model))
    for real in (augmented, Subset(augmented, range(5))):
        with pytest.raises(VAEAugmentError, match="so the labels contradict each other"):
            MixedDataset(real, VAESyntheticDataset(tiny_model, 20))


def test_on_the_synthetic_side_too(tiny_model: VAEModel) -> None:
    made = VAESyntheticDataset(tiny_model, 20)
    for synthetic in (Subset(made, range(5)), ConcatDataset([made, made]), Wrapper(made)):
        with pytest.raises(VAEAugmentError, match="so the labels contradict each other"):
            MixedDataset(Real(), synthetic)


@pytest.mark.parametrize(
    "change", [torch.as_tensor, float, lambda label: np.array([label]), lambda label: [label][0]]
)
def test_a_change_of_type_hides_nothing(change: Any, tiny_model: VAEModel) -> None:
    synthetic = VAESyntheticDataset(tiny_model, 20, target_transform=change)
    with pytest.raises(VAEAugmentError, match="so the labels contradict each other"):
        MixedDataset(Real(target_transform=change), synthetic)
    MixedDataset(Real(IN_ORDER, target_transform=change), synthetic)


def test_a_change_of_labels_counts(tiny_model: VAEModel) -> None:
    MixedDataset(
        Real(target_transform=lambda label: 9 - label), VAESyntheticDataset(tiny_model, 20)
    )
    with pytest.raises(VAEAugmentError, match="The class '0' has label 9 in real"):
        MixedDataset(Real(IN_ORDER, lambda label: 9 - label), VAESyntheticDataset(tiny_model, 20))


@pytest.mark.parametrize("change", [None, torch.as_tensor])
def test_the_advice_maps_the_labels(change: Any, tiny_model: VAEModel) -> None:
    real = Real(target_transform=change)
    with pytest.raises(VAEAugmentError) as error:
        MixedDataset(real, VAESyntheticDataset(tiny_model, 20, target_transform=change))
    way = str(error.value).split("`")[1]
    arguments = eval(f"dict({way})", {"torch": torch})
    synthetic = VAESyntheticDataset(tiny_model, 20, **arguments)
    MixedDataset(real, synthetic)
    assert synthetic[3][1] == real.classes.index("3")


def test_datasets_inside_that_contradict_each_other(tiny_model: VAEModel) -> None:
    real = ConcatDataset([Real(), Real(IN_ORDER)])
    with pytest.raises(VAEAugmentError, match="in one of the datasets inside, but"):
        MixedDataset(real, VAESyntheticDataset(tiny_model, 20))


def test_a_target_transform_that_takes_no_index_hides_the_names(tiny_model: VAEModel) -> None:
    def odd(label: Any) -> int:
        if isinstance(label, int):
            raise KeyError(label)
        return 3

    real = Real(target_transform=odd)
    real.targets = ["a"] * COUNT  # type: ignore[list-item]
    MixedDataset(real, VAESyntheticDataset(tiny_model, 20))


def test_a_folder_and_rows_of_hugging_face(tiny_model: VAEModel, tmp_path: Path) -> None:
    for name in ("seven", "three"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "a.png")
    folder = ImageFolder(tmp_path, transform=v2.Grayscale())
    data = AugmentedDataset(Subset(folder, [1, 0]), VAEAugment(tiny_model))
    assert (data.classes, data.class_to_idx) == (["seven", "three"], {"seven": 0, "three": 1})
    assert data.targets == [1, 0]
    features = hugging_face.Features(
        {"image": hugging_face.Image(), "label": hugging_face.ClassLabel(names=REVERSED)}
    )
    items = [{"image": Image.new("L", (8, 8)), "label": label} for label in (3, 1)]
    rows = hugging_face.Dataset.from_list(items, features=features)
    data = AugmentedDataset(rows, VAEAugment(tiny_model))
    assert (data.classes, data.targets) == (REVERSED, [3, 1])
    synthetic = VAESyntheticDataset(tiny_model, 20, output="pil", keys=("image", "label"))
    with pytest.raises(VAEAugmentError, match="so the labels contradict each other"):
        MixedDataset(rows, synthetic)


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("alone", [*range(10), *range(10)]),
        ("Subset", [0, 1, 2, 3, 4]),
        ("ConcatDataset", [*range(10)] * 4),
        ("Subset of ConcatDataset of Subset", [*range(9), 0, 1, 2]),
    ],
)
def test_ours_pass_names_and_targets_on_without_loading(
    name: str, targets: list[int], tiny_model: VAEModel
) -> None:
    real = WRAPPERS[name](Real(may_load=False))
    data = AugmentedDataset(AugmentedDataset(real, VAEAugment(tiny_model)), VAEAugment(tiny_model))
    assert data.classes == REVERSED
    assert data.class_to_idx == {name: index for index, name in enumerate(REVERSED)}
    assert list(data.targets) == targets
    assert top_up([*Subset(data, [0, 1, 1]).dataset.targets, 0, 0], to=5)


def test_targets_are_those_of_the_items(tiny_model: VAEModel) -> None:
    data = AugmentedDataset(Real(target_transform=lambda label: 9 - label), VAEAugment(tiny_model))
    assert data.targets == [label for _, label in data.__getitems__(range(COUNT))]
    assert data.classes == IN_ORDER  # its 0 is the REVERSED's 9


def test_targets_of_a_mixture_follow_the_epoch(tiny_model: VAEModel) -> None:
    synthetic = VAESyntheticDataset(
        tiny_model, 30, labels=[2, 5], target_transform=[9 - i for i in range(10)].__getitem__
    )
    data = MixedDataset(Real(), synthetic, 0.4)
    for epoch in (0, 3):
        data.set_epoch(epoch)
        expected = [label for _, label in data.__getitems__(range(len(data)))]
        assert data.targets.tolist() == expected
        assert torch.equal(torch.as_tensor(data.targets), torch.tensor(expected))
    assert (data.classes, data.class_to_idx["3"]) == (REVERSED, 6)
    assert AugmentedDataset(data, VAEAugment(tiny_model)).targets.tolist() == expected


def test_targets_in_the_attributes_of_others(tiny_model: VAEModel) -> None:
    real = Real()
    del real.targets
    real.labels = np.array([[3], [1]] * 10)  # as those of MedMNIST  # type: ignore[attr-defined]
    data = AugmentedDataset(Subset(real, [1, 2]), VAEAugment(tiny_model))
    assert data.targets == [1, 3]


def test_what_is_not_known_is_no_attribute(tiny_model: VAEModel) -> None:
    rows = TensorDataset(torch.rand(5, *SHAPE), torch.arange(5))
    data = AugmentedDataset(rows, VAEAugment(tiny_model))
    assert not any(hasattr(data, name) for name in ("classes", "targets", "class_to_idx"))
    assert not hasattr(AugmentedDataset(Wrapper(Real()), VAEAugment(tiny_model)), "targets")
