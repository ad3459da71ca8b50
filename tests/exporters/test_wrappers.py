"""Modules of other kinds are refused, and exported in the wrappers of docs/export.md."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn import functional as F

from tests.exporters.layers import PAGE, SHAPE
from vae_augment import load
from vae_augment.errors import ExportError
from vae_augment.exporters import export

BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
(BASE,) = (block for block in BLOCKS if "class Wrapper(" in block)
WRAPPERS = {
    re.search(r"class (\w+)\(", block)[1]: block for block in BLOCKS if "(Wrapper):" in block
}


class Layers(nn.Module):
    """What all stubs are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.fc_mu = nn.Linear(16, 16)
        self.fc_var = nn.Linear(16, 16)
        self.decoder = nn.Sequential(nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, SHAPE))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(x)
        return self.fc_mu(hidden), self.fc_var(hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.moments(x)[0])


class Plain(Layers):
    def encode(self, x: Tensor) -> Any:
        return self.moments(x)

    def decode(self, z: Tensor) -> Any:
        return self.decoder(z)


class FromStd(Plain):
    def encode(self, x: Tensor) -> Any:
        mean, logvar = self.moments(x)
        return mean, (0.5 * logvar).exp()


class FromDistribution(Plain):
    def encode(self, x: Tensor) -> Any:
        mean, logvar = self.moments(x)
        return Normal(mean, (0.5 * logvar).exp())


class FromThree(Plain):
    def encode(self, x: Tensor) -> Any:
        mean, logvar = self.moments(x)
        return mean + torch.randn_like(mean) * (0.5 * logvar).exp(), mean, logvar


@dataclass
class Output:
    mean: Tensor
    logvar: Tensor


class FromDataclass(Plain):
    def encode(self, x: Tensor) -> Any:
        return Output(*self.moments(x))


class FromDict(Plain):
    def encode(self, x: Tensor) -> Any:
        mean, logvar = self.moments(x)
        return {"mean": mean, "logvar": logvar}

    def decode(self, z: Tensor) -> Any:
        return {"image": self.decoder(z)}


class FromOneTensor(Plain):
    def encode(self, x: Tensor) -> Any:
        return torch.cat(self.moments(x), 1)


class FromMap(Plain):
    def encode(self, x: Tensor) -> Any:
        mean, logvar = self.moments(x)
        return mean.view(-1, 4, 2, 2), logvar.view(-1, 4, 2, 2)

    def decode(self, z: Tensor) -> Any:
        return self.decoder(z.permute(0, 1, 2, 3).flatten(1))  # rows have no four dimensions


class FromTuple(Plain):
    def decode(self, z: Tensor) -> Any:
        return self.decoder(z), z


class FromForward(Layers):
    pass


class OfOneClass(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Linear(10, 64)

    def encode(self, x: Tensor, y: Tensor) -> Any:
        return self.moments(x.flatten(1) + self.shift(y))

    def decode(self, z: Tensor, y: Tensor) -> Any:
        return self.decoder(z + self.shift(y)[:, :16])


REFUSALS = {
    FromStd: "The second result of encode is positive for any image, as a standard deviation",
    FromDistribution: "it returned a Normal",
    FromThree: "it returned 3 values",
    FromDict: "it returned a dict",
    FromOneTensor: r"it returned one tensor \(2, 32\)",
    FromMap: r"it returned \(2, 4, 2, 2\) and \(2, 4, 2, 2\)",
    FromTuple: "decode returns 2 values for two latents, expected two images",
    FromForward: r"FromForward lacks encode or decode\. Give a module with encode",
    OfOneClass: "missing 1 required positional argument: 'y'",
}


def test_every_wrapper_has_a_module_of_its_kind() -> None:
    assert set(WRAPPERS) == {module.__name__ for module in REFUSALS}


@pytest.fixture
def _as_it_was() -> Any:
    before = Distribution._validate_args
    yield
    Distribution.set_default_validate_args(before)


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_module_is_refused_with_a_wrapper_that_helps(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    vae = kind().eval()
    with pytest.raises(ExportError, match=REFUSALS[kind]) as caught:
        export(vae, tmp_path / "model.onnx", image_shape=SHAPE)
    assert 'docs/export.md, "Wrappers"' in str(caught.value)
    names: dict[str, Any] = {}
    exec(BASE + WRAPPERS[kind.__name__], names)
    wrapped = names[kind.__name__](vae).eval()
    assert export(wrapped, tmp_path / "model.onnx", image_shape=SHAPE).worst <= 1e-5
    images = torch.rand(3, *SHAPE)
    shift = vae.shift(F.one_hot(torch.full((3,), 3), 10).float()) if kind is OfOneClass else 0
    with torch.no_grad():
        expected = vae.moments(images.flatten(1) + shift)
    torch.testing.assert_close(load(tmp_path / "model.onnx").encode(images), expected)


def test_a_dataclass_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="it returned a Output"):
        export(FromDataclass().eval(), tmp_path / "model.onnx", image_shape=SHAPE)
