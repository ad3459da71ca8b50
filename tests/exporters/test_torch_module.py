"""Any module with encode and decode, from Python and from the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn, optim
from torch.nn import functional as F

from vae_augment import VAEAugment, load
from vae_augment.errors import ExportError, InputError, ModelFormatError
from vae_augment.exporters import export, load_module
from vae_augment.training import load_data


class ClassicVAE(nn.Module):
    """The example of pytorch/examples/vae/main.py, letter by letter."""

    def __init__(self):
        super().__init__()

        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)
        self.fc22 = nn.Linear(400, 20)
        self.fc3 = nn.Linear(20, 400)
        self.fc4 = nn.Linear(400, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 784))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def classic_loss(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


class LogitVAE(ClassicVAE):
    """The same with a decode that stops before the sigmoid."""

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))


class Small(nn.Module):
    """A VAE of 8x8 images whose parts the tests break one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(64, 8), nn.Linear(4, 64)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.enter(x.flatten(1)).chunk(2, dim=1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        return self.leave(z).sigmoid().view(-1, 1, 8, 8)


def digits_28() -> Tensor:
    images = load_data("digits").images[:256].float() / 255
    return F.interpolate(images, size=(28, 28), mode="bilinear").clamp(0, 1)


@pytest.fixture(scope="module")
def classic() -> ClassicVAE:
    torch.manual_seed(1)
    model = ClassicVAE()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for data in digits_28().split(64):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = classic_loss(recon_batch, data, mu, logvar)
        loss.backward()
        optimizer.step()
    return model.eval()


def test_the_classic_example_exports_unchanged_and_augments(classic: ClassicVAE, tmp_path: Path):
    path = tmp_path / "classic.onnx"
    report = export(classic, path, image_shape=(1, 28, 28))
    assert list(report.differences["whole: augmented"]) == [1, 2, 5, 64]
    assert report.worst <= 1e-5

    model = load(path)
    images = digits_28()[:16]
    with torch.no_grad():
        mu, logvar = classic.encode(images.view(-1, 784))
        expected = classic.decode(mu).view(-1, 1, 28, 28)
    mean, log_variance = model.encode(images)
    torch.testing.assert_close(mean, mu, atol=1e-5, rtol=0)
    torch.testing.assert_close(log_variance, logvar, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.reconstruct(images), expected, atol=1e-5, rtol=0)

    augmented = VAEAugment(model, p=1.0)(images)
    assert augmented.shape == images.shape
    assert not torch.equal(augmented, images)


def test_logits_are_asked_for_by_name(classic: ClassicVAE, tmp_path: Path):
    logits = LogitVAE().eval()
    logits.load_state_dict(classic.state_dict())
    with pytest.raises(
        ExportError, match=r"values from -.* images must lie in \[0, 1\].*decoder_output='logits'"
    ):
        export(logits, tmp_path / "refused.onnx", image_shape=(1, 28, 28))
    export(logits, tmp_path / "logits.onnx", image_shape=(1, 28, 28), decoder_output="logits")
    latent = torch.randn(5, 20)
    with torch.no_grad():
        expected = classic.decode(latent).view(-1, 1, 28, 28)
    torch.testing.assert_close(
        load(tmp_path / "logits.onnx").decode(latent), expected, atol=1e-6, rtol=0
    )
    assert [path.name for path in tmp_path.iterdir()] == ["logits.onnx"]


def test_images_called_logits_are_refused(classic: ClassicVAE, tmp_path: Path):
    with pytest.raises(ExportError, match=r"all lie in \[0, 1\], so they are not logits"):
        export(classic, tmp_path / "refused.onnx", image_shape=(1, 28, 28), decoder_output="logits")


class DrawsInside(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z + torch.randn_like(z))


class DropsInside(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(F.dropout(z, 0.5, training=True))


class BakesTheBatch(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z + torch.ones(2, 4))


class Branches(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z if z.max() > 0 else -z)


class IsDeterministic(Small):
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = super().encode(x)
        return mean, logvar * 0 - 200


class ReturnsOneTensor(Small):
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, _ = super().encode(x)
        return mean, mean


class CouplesTheBatch(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z - z.mean(0))


class NormalizesTheBatch(Small):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4, track_running_stats=False)

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(self.norm(z))


class Sorts(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z.sort(1)[0])


class GivesNone(Small):
    def encode(self, x: Tensor):
        return super().encode(x)[0], None


class DecodesHalf(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z)[:, :, :4]


class DecodesOtherLatents(Small):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z[:, :3])


class GivesThree(Small):
    def encode(self, x: Tensor):
        mean, logvar = super().encode(x)
        return mean, logvar, mean


class LacksDecode(nn.Module):
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.flatten(1)


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        (DrawsInside, r"The graph draws random numbers \(RandomNormalLike\)"),
        (DropsInside, r"The graph draws random numbers \(Dropout\)"),
        (BakesTheBatch, "The model has a batch size baked in"),
        (Branches, "control flow depends on its data"),
        (IsDeterministic, "The latent is the mean itself"),
        (ReturnsOneTensor, "the same tensor for mean and log-variance"),
        (CouplesTheBatch, "first image alone"),
        (NormalizesTheBatch, "norm is a BatchNorm1d without running statistics"),
        (Sorts, "The graph uses .*TopK, which a model file may not contain"),
        (GivesThree, "encode does not turn two images"),
        (GivesNone, "encode does not turn two images"),
        (
            DecodesHalf,
            r"decode turns two latents into \(2, 1, 4, 8\), expected two images of shape \(1, 8, 8",
        ),
        (DecodesOtherLatents, "decode fails on two latents of 4 dimensions"),
        (LacksDecode, "LacksDecode lacks encode or decode"),
    ],
)
def test_a_failure_names_its_cause_and_leaves_nothing(
    module: type[nn.Module], cause: str, tmp_path: Path, capfd
):
    with pytest.raises(ExportError, match=cause):
        export(module().eval(), tmp_path / "model.onnx", image_shape=(1, 8, 8))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_module_in_training_mode_is_refused(tmp_path: Path):
    module = Small()
    with pytest.raises(ExportError) as caught:
        export(module, tmp_path / "model.onnx", image_shape=(1, 8, 8))
    assert str(caught.value) == (
        "The module is in training mode (Small, enter, leave): dropout and batch statistics would "
        "go into the file. Call module.eval() first."
    )
    assert module.training
    assert list(tmp_path.iterdir()) == []


def test_the_image_shape_must_be_given(tmp_path: Path):
    with pytest.raises(
        InputError, match=r"Pass it as \(channels, height, width\): image_shape=\(1, 28, 28\)"
    ):
        export(Small().eval(), tmp_path / "model.onnx")


def run_cli(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from vae_augment.cli import main; main()",
        *map(str, arguments),
    ]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_the_command_line_takes_a_module_and_weights(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n\nclass VAE(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.enter, self.leave = nn.Linear(64, 8), nn.Linear(4, 64)\n\n"
        "    def encode(self, x):\n        return self.enter(x).chunk(2, 1)\n\n"
        "    def decode(self, z):\n        return self.leave(z).sigmoid()\n"
    )
    save_file(Small().state_dict(), tmp_path / "weights.safetensors")
    arguments = [
        "export",
        "--module",
        "mine:VAE",
        "--weights",
        "weights.safetensors",
        "--image-shape",
        "1,8,8",
    ]
    done = run_cli(*arguments, "-o", "model.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("batch 64", "opset 18", "sha256", "from vae_augment import VAEAugment"):
        assert words in done.stdout
    assert load(tmp_path / "model.onnx").spec.latent_dim == 4
    failed = run_cli(*arguments[:-2], "-o", "none.onnx", cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: The image shape is None")
    assert not (tmp_path / "none.onnx").exists()


def test_weights_come_as_a_state_dict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain_module.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Linear(2, 3)\n"
    )
    layer = nn.Linear(2, 3)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    loaded = load_module("plain_module:build", tmp_path / "weights.pt")
    assert not loaded.training
    assert torch.equal(loaded.weight, layer.weight)
    with pytest.raises(InputError, match="'plain_module:absent' cannot be imported"):
        load_module("plain_module:absent", None)
    with pytest.raises(InputError, match=r"'torch\.nn:Linear' cannot be .* without arguments"):
        load_module("torch.nn:Linear", None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"\x80\x02}q\x00(X", b"\x80"])
def test_a_damaged_file_of_weights_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"weights\.pt holds no plain weights: \S"):
        load_module(f"{__name__}:Small", tmp_path / "weights.pt")


@pytest.mark.parametrize("state", [{1: torch.zeros(1)}, {"enter.weight": 3}, {}])
def test_a_file_that_holds_no_weights_of_the_module_is_refused(
    state: dict[object, object], tmp_path: Path
):
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ModelFormatError, match=f"are not those of {__name__}:Small"):
        load_module(f"{__name__}:Small", tmp_path / "weights.pt")


def test_a_pickled_module_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other_module.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Linear(2, 3)\n"
    )
    torch.save(nn.Linear(2, 3), tmp_path / "whole.pt")
    with pytest.raises(
        ModelFormatError, match="a pickled module would run whatever code is in it, and is not read"
    ):
        load_module("other_module:build", tmp_path / "whole.pt")
