"""Labels in all the forms that datasets give."""

from typing import Any

import numpy as np
import pytest
import torch

from vae_augment.arguments import one_per_image
from vae_augment.errors import InputError

NUMBERS: dict[str, Any] = {
    "list": [3, 0, 7],
    "tuple": (3, 0, 7),
    "array": np.array([3, 0, 7]),
    "array of uint8": np.array([3, 0, 7], np.uint8),
    "array of uint64": np.array([3, 0, 7], np.uint64),
    "array of Python's numbers": np.array([3, 0, 7], object),
    "arrays of one number": np.array([[3], [0], [7]]),
    "list of arrays of one number": [np.array([3]), np.array([0]), np.array([7])],
    "list of NumPy's numbers": [np.int64(3), np.int32(0), np.uint8(7)],
    "list of lists": [[3], [0], [7]],
    "whole floats": [3.0, 0.0, 7.0],
    "array of float32": np.array([3, 0, 7], np.float32),
    "tensor": torch.tensor([3, 0, 7]),
    "tensor [N, 1]": torch.tensor([[3], [0], [7]]),
    "tensor of floats": torch.tensor([3.0, 0.0, 7.0]),
    "tensor of uint16": torch.tensor([3, 0, 7], dtype=torch.uint16),
    "list of 0-d tensors": [torch.tensor(3), torch.tensor(0), torch.tensor(7)],
    "list of 1-d tensors": [torch.tensor([3]), torch.tensor([0]), torch.tensor([7])],
    "range": range(3),
}


@pytest.mark.parametrize("form", NUMBERS)
def test_numbers(form: str) -> None:
    found = one_per_image(NUMBERS[form])
    assert found.dtype == np.int64
    assert found.tolist() == ([0, 1, 2] if form == "range" else [3, 0, 7])


@pytest.mark.parametrize(
    "labels", [3, 3.0, np.int64(3), torch.tensor(3), torch.tensor([3]), np.array([[3]]), [3]]
)
def test_one_number(labels: object) -> None:
    assert one_per_image(labels).tolist() == [3]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([True, False], [1, 0]),
        ([3, None, 7], [3, -1, 7]),
        (np.array([3, np.nan]), [3, -1]),
        ([None, None], [-1, -1]),
        ([], []),
        (["cat", "dog"], ["cat", "dog"]),
        (np.array(["cat", "dog"]), ["cat", "dog"]),
        (np.array([b"cat", b"dog"]), ["cat", "dog"]),
        (["cat", None], ["cat", -1]),
        ("cat", ["cat"]),
        ([["cat"], ["dog"]], ["cat", "dog"]),
    ],
)
def test_truth_values_missing_ones_and_names(labels: object, expected: list[Any]) -> None:
    assert one_per_image(labels).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((20, 14)), r"have the shape \(20, 14\): several numbers per image"),
        (torch.zeros(3, 10), r"have the shape \(3, 10\): several numbers per image"),
        ([torch.zeros(10)], "labels_getter function that returns numbers"),
        ([[0], [0, 1]], r"labels \[\[0\], \[0, 1\]\] are not one number per image"),
        ([1.7, 2], "The label 1.7 is no class index"),
        ([float("inf")], "The label inf is no class index"),
        (torch.tensor([2.0**60]), "is no class index"),
        (np.array([2**64 - 1], np.uint64), f"The label {2**64 - 1} is no class index"),
        ([2**70], "labels are of type object"),
        ([1j], "labels are of type complex128"),
        ([{"a": 1}], "labels are of type object"),
        (["cat", 3], "mix names and numbers"),
    ],
)
def test_what_cannot_be_labels(labels: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        one_per_image(labels)


def test_following_the_advice_for_one_hot_labels() -> None:
    labels = torch.eye(10)[[3, 0, 7]]
    with pytest.raises(InputError, match=r"such as `labels.argmax\(1\)`"):
        one_per_image(labels)
    assert one_per_image(labels.argmax(1)).tolist() == [3, 0, 7]
