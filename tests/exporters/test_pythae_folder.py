"""Folders saved by the real pythae, against its own encoder and decoder."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_augment import VAEAugmentError, load
from vae_augment.errors import ExportError, InputError, ModelFormatError
from vae_augment.training import load_data

# pythae uses what Python and torch have since deprecated; that is its business.
pytestmark = pytest.mark.filterwarnings("ignore")
pythae_models = pytest.importorskip("pythae.models")
from pythae.models.base.base_utils import ModelOutput  # noqa: E402
from pythae.models.nn import BaseDecoder, BaseEncoder  # noqa: E402
from pythae.pipelines import TrainingPipeline  # noqa: E402
from pythae.trainers import BaseTrainerConfig  # noqa: E402

from vae_augment.exporters import export  # noqa: E402

SHAPE = (1, 28, 28)


class ConvEncoder(BaseEncoder):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 4, stride=4)
        self.mean, self.logvar = torch.nn.Linear(196, latent_dim), torch.nn.Linear(196, latent_dim)

    def forward(self, x: Tensor) -> ModelOutput:
        rows = self.conv(x).relu().reshape(x.shape[0], -1)
        return ModelOutput(embedding=self.mean(rows), log_covariance=self.logvar(rows))


class ConvDecoder(BaseDecoder):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(latent_dim, 196)
        self.conv = torch.nn.ConvTranspose2d(4, 1, 4, stride=4)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(
            reconstruction=self.conv(self.linear(z).relu().reshape(-1, 4, 7, 7)).sigmoid()
        )


def images_28() -> Tensor:
    images = load_data("digits").images[:64].float() / 255
    return F.interpolate(images, size=(28, 28), mode="bilinear").clamp(0, 1)


def trained(name: str, folder: Path, **nets: torch.nn.Module) -> tuple[torch.nn.Module, Path]:
    """A model that pythae itself trained for an epoch and saved."""
    config = getattr(pythae_models, f"{name}Config")(input_dim=SHAPE, latent_dim=3)
    model = getattr(pythae_models, name)(config, **nets)
    training = BaseTrainerConfig(
        output_dir=str(folder / "runs"), num_epochs=1, per_device_train_batch_size=32
    )
    TrainingPipeline(training_config=training, model=model)(train_data=images_28())
    model.save(str(folder / "model"))
    return model.eval().cpu(), folder / "model"


@pytest.mark.parametrize("name", ["VAE", "BetaVAE"])
def test_a_folder_computes_what_pythae_computes(name: str, tmp_path: Path):
    model, folder = trained(name, tmp_path)
    compare(model, folder, tmp_path / "model.onnx")


def compare(model: torch.nn.Module, folder: Path, path: Path, allow_pickle: bool = False) -> None:
    assert export(folder, path, allow_pickle=allow_pickle).worst <= 1e-5
    loaded, images = load(path), images_28()
    assert loaded.spec.image_shape == SHAPE
    assert loaded.spec.training == {"source": f"pythae {model.model_name}"}
    with torch.no_grad():
        output = model.encoder(images)
        decoded = model.decoder(output.embedding).reconstruction
    mean, logvar = loaded.encode(images)
    torch.testing.assert_close(mean, output.embedding, atol=1e-5, rtol=0)
    torch.testing.assert_close(logvar, output.log_covariance, atol=1e-5, rtol=0)
    torch.testing.assert_close(loaded.decode(mean), decoded, atol=1e-5, rtol=0)


def test_pickled_networks_are_opened_only_when_allowed(tmp_path: Path):
    model, folder = trained("VAE", tmp_path, encoder=ConvEncoder(3), decoder=ConvDecoder(3))
    with pytest.raises(InputError) as caught:
        export(folder, tmp_path / "refused.onnx")
    assert str(caught.value) == (
        f"{folder} holds pickled networks (decoder.pkl, encoder.pkl). Opening a pickle runs "
        "whatever code is in it, with all your rights. If you made the folder yourself, pass "
        "--allow-pickle (allow_pickle=True)."
    )
    assert not (tmp_path / "refused.onnx").exists()
    compare(model, folder, tmp_path / "model.onnx", allow_pickle=True)


def test_an_autoencoder_is_not_a_vae(tmp_path: Path):
    config = pythae_models.AEConfig(input_dim=SHAPE, latent_dim=3)
    pythae_models.AE(config).save(str(tmp_path / "model"))
    with pytest.raises(ExportError, match="pythae's 'AE' has no Gaussian posterior"):
        export(tmp_path / "model", tmp_path / "model.onnx")


def test_weights_that_would_run_code_are_not_read(tmp_path: Path):
    model, folder = trained("VAE", tmp_path)
    torch.save({"model_state_dict": model}, folder / "model.pt")
    with pytest.raises(ModelFormatError, match="would run whatever code is in it"):
        export(folder, tmp_path / "model.onnx")


def test_another_folder_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        VAEAugmentError, match=r"is not a folder saved by pythae: model_config\.json is missing"
    ):
        export(tmp_path / "empty", tmp_path / "model.onnx")


DAMAGED_CONFIGS = [
    '{"name": "VAEConfig"}',
    '{"name": "VAEConfig", "input_dim": "abc", "latent_dim": 4}',
    '{"name": "VAEConfig", "input_dim": [1, -28, 28], "latent_dim": 4}',
    '{"name": "VAEConfig", "input_dim": [1, 28, 28], "latent_dim": 5}',
    '{"name": "VAEConfig", "input_dim": [1, 28, 28], "latent_dim": 1000000000000}',
    "[" * 100_000,
    "[]",
    "",
]


@pytest.mark.parametrize("config", DAMAGED_CONFIGS, ids=range(len(DAMAGED_CONFIGS)))
def test_a_damaged_config_is_refused(config: str, tmp_path: Path):
    _, folder = trained("VAE", tmp_path)
    (folder / "model_config.json").write_text(config)
    with pytest.raises(ModelFormatError, match=r"pythae.*(damaged|missing)"):
        export(folder, tmp_path / "model.onnx")


@pytest.mark.parametrize("state", [{"a": 1}, {"model_state_dict": {}}])
def test_other_weights_are_refused(state: dict[str, object], tmp_path: Path):
    _, folder = trained("VAE", tmp_path)
    torch.save(state, folder / "model.pt")
    with pytest.raises(ModelFormatError, match="pythae cannot load"):
        export(folder, tmp_path / "model.onnx")
