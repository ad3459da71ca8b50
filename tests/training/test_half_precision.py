"""Half precision where the machine is faster in it, float32 where torch cannot tell."""

import pytest
import torch

from vae_augment.training.half_precision import half_precision, half_products


def with_amx(monkeypatch: pytest.MonkeyPatch, has_amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_amx}, raising=False)


def test_a_gpu_or_a_cpu_with_matrix_units_takes_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    with_amx(monkeypatch, has_amx=True)
    assert half_precision("cpu") is torch.bfloat16
    assert half_precision("cuda") is torch.bfloat16


def test_another_cpu_takes_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    with_amx(monkeypatch, has_amx=False)
    assert half_precision("cpu") is None


def test_a_torch_that_cannot_name_the_units_takes_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert half_precision("cpu") is None


def test_a_torch_without_half_products_multiplies_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(type(torch.backends.mkldnn), "matmul", raising=False)
    left, right = torch.rand(2, 64, 64)
    with half_products(enabled=True):
        product = left @ right
    assert torch.equal(product, left @ right)
