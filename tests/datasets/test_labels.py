"""Labels in the forms of public datasets: the same answer from whatever takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

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
FORMS: dict[str, Callable[[int], Any]] = {
    "ints": int,
    "NumPy's ints": np.int64,
    "floats": float,
    "0-d tensors": torch.tensor,
    "tensors of one number": lambda label: torch.tensor([label]),
    "arrays of one number, as MedMNIST": lambda label: np.array([label]),
    "0-d arrays": np.array,
    "names": str,
}


class Real(Dataset[Any]):
    def __init__(self, form: Callable[[int], Any]) -> None:
        self.labels = [form(label) for label in [0] * 12 + [1] * 8]

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return torch.full(SHAPE, index / COUNT), self.labels[index]


def perturbed(model: VAEModel, labels: Any) -> Tensor:
    augment = VAEAugment(model, mode="prior", p=1.0, residual=False, labels_getter="default")
    torch.manual_seed(0)
    return augment(torch.stack([image for image, _ in Real(int)]), labels)[0]


@pytest.mark.parametrize("form", FORMS)
def test_taken_wherever_others_are(form: str, tiny_model: VAEModel) -> None:
    real = Real(FORMS[form])
    expected = perturbed(tiny_model, torch.tensor(Real(int).labels))
    assert torch.equal(perturbed(tiny_model, real.labels), expected)
    augment = VAEAugment(tiny_model, mode="prior", p=1.0, residual=False, labels_getter="default")
    torch.manual_seed(0)
    items = AugmentedDataset(real, augment).__getitems__(range(COUNT))
    assert torch.equal(torch.stack([image for image, _ in items]), expected)
    assert [str(label) for _, label in items] == [str(label) for label in real.labels]
    classes = {str(label) for label in top_up(real.labels, to=13)}
    assert classes == {"0", "1"}
    assert len(top_up(real.labels)) == 4
    synthetic = VAESyntheticDataset(tiny_model, labels=top_up(real.labels))
    assert synthetic.targets.tolist() == [1] * 4
    images = torch.cat([image[None] for image, _ in real])
    assert tiny_model.encode(images, real.labels)[0].shape == (COUNT, tiny_model.spec.latent_dim)


def test_arrays_of_one_number_on_both_sides(tiny_model: VAEModel) -> None:
    real = Real(FORMS["arrays of one number, as MedMNIST"])
    synthetic = VAESyntheticDataset(
        tiny_model, COUNT, target_transform=lambda label: np.array([label])
    )
    _, labels = next(iter(DataLoader(MixedDataset(real, synthetic), batch_size=8)))
    assert labels.shape == (8, 1)
    with pytest.raises(VAEAugmentError, match=r"`target_transform=lambda label: np.array"):
        MixedDataset(real, VAESyntheticDataset(tiny_model, COUNT))


@pytest.mark.parametrize(
    "several", [lambda label: np.zeros(14, int), lambda label: torch.eye(10)[label]]
)
def test_several_labels_per_image(several: Callable[[int], Any], tiny_model: VAEModel) -> None:
    real = Real(several)
    augment = VAEAugment(tiny_model, mode="prior", labels_getter="default")
    message = "several numbers per image"
    with pytest.raises(VAEAugmentError, match=message):
        AugmentedDataset(real, augment)[0]
    with pytest.raises(VAEAugmentError, match=message):
        perturbed(tiny_model, real.labels)
    with pytest.raises(VAEAugmentError, match=message):
        top_up(real.labels)
    with pytest.raises(VAEAugmentError, match="several labels: give real a target_transform="):
        MixedDataset(real, VAESyntheticDataset(tiny_model, COUNT))
    chosen = VAEAugment(tiny_model, mode="prior", labels_getter=lambda item: int(item[1].argmax()))
    assert AugmentedDataset(real, chosen)[0][0].shape == SHAPE


def test_a_missing_label_is_unknown(tiny_model: VAEModel) -> None:
    labels: list[Any] = [None, float("nan"), 3.0]
    augment = VAEAugment(tiny_model, p=1.0, labels_getter="default")
    images = torch.rand(3, *SHAPE)
    torch.manual_seed(0)
    given, _ = augment(images, labels)
    torch.manual_seed(0)
    assert torch.equal(given, augment(images, torch.tensor([-1, -1, 3]))[0])
    assert set(top_up([*labels, 3, 5])) == {5}
