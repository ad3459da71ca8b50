"""The VAE with random detail.

Its score, its noise, its file, and what the rest of the package makes of it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_augment import VAEModel, VAESyntheticDataset, load
from vae_augment.errors import InputError
from vae_augment.exporters import export
from vae_augment.training import (
    Checkpoint,
    FitConfig,
    ImageData,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from vae_augment.training.networks.energy import DETAIL, EnergyScore, EnergyVAE, Texture
from vae_augment.training.trainer import Trainer
from vae_augment.transforms.latent import extrapolate, interpolate

ENERGY = FitConfig(network="energy-small", latent_dim=4, conditional=True, epochs=1, batch_size=64)


@pytest.fixture(scope="module")
def few(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(300))


@pytest.fixture(scope="module")
def trained(few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return fit(few, tmp_path_factory.mktemp("energy") / "a.safetensors", ENERGY)


@pytest.fixture(scope="module")
def model(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    folder = tmp_path_factory.mktemp("energy")
    save_checkpoint(trained, folder / "a.safetensors")
    export(folder / "a.safetensors", folder / "a.onnx")
    return load(folder / "a.onnx")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_score_prefers_detail_to_its_mean(channels: int) -> None:
    image, one, other = torch.rand(3, 200, channels, 28, 28).round()
    mean, score = torch.full_like(image, 0.5), EnergyScore(channels)
    assert score(one, other, image).mean() < 0.9 * score(mean, mean, image).mean()


@pytest.mark.parametrize(("logit", "is_far"), [(-100.0, True), (100.0, True), (-15.0, False)])
def test_logits_that_are_too_large_are_brought_back(logit: float, is_far: bool) -> None:
    torch.manual_seed(0)
    network = EnergyVAE((3, 16, 16), 4 + DETAIL, 0, 16)
    last = network.render.last[2]
    assert isinstance(last, torch.nn.ConvTranspose2d)
    assert last.bias is not None
    with torch.no_grad():
        last.bias.zero_()
        last.bias[:3] = logit
        last.weight.mul_(1e-3)
    image = torch.rand(8, 3, 16, 16)
    terms = network(image, image, None, torch.randn(8, network.noise_dim))
    (change,) = torch.autograd.grad(terms.reconstruction.mean(), last.bias)
    pull = change[:3] * torch.tensor(logit).sign()
    assert (pull > 10).all() == is_far


def test_the_score_of_an_image_against_itself_is_almost_nothing() -> None:
    image = torch.rand(2, 1, 28, 28)
    assert (EnergyScore(1)(image, image, image) < 0.003 * 784).all()


def test_the_pixels_of_a_map_of_noise_are_independent() -> None:
    texture = Texture(1, 14, 14)
    with torch.no_grad():
        texture.filters.weight.zero_()[0, 0, 2, 2] = 1
        assert texture(torch.zeros(1, DETAIL)).eq(0).all()
        maps = texture(torch.randn(20_000, DETAIL)).flatten(1)
    correlations = torch.corrcoef(maps.T) - torch.eye(196)
    assert correlations.square().mean().sqrt() < 0.02
    assert correlations.abs().max() < 0.2


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 13), (1, 64, 64)])
def test_the_network_takes_any_shape(shape: tuple[int, int, int]) -> None:
    network = EnergyVAE(shape, 20, classes=3, width=16)
    image, label = torch.rand(2, *shape), torch.tensor([-1, 2])
    assert [tuple(moment.shape) for moment in network.encode(image, label)] == [(2, 20), (2, 20)]
    assert network.decode(torch.zeros(2, 20), label).shape == image.shape
    terms = network(image, image, label, torch.randn(2, network.noise_dim))
    assert all(term.shape == (2,) and term.isfinite().all() for term in terms)


def test_a_latent_without_room_for_detail_is_refused() -> None:
    with pytest.raises(
        InputError, match="The latent has 16 dimensions; 16 of them are detail, so it needs more"
    ):
        EnergyVAE((1, 8, 8), 16, classes=0, width=16)


def detail_alone(trained: Checkpoint) -> Tensor:
    return torch.cat(
        [torch.zeros(50, trained.spec.latent_dim - DETAIL), torch.randn(50, DETAIL)], 1
    )


def test_the_encoder_leaves_detail_alone_and_the_decoder_draws_it(
    trained: Checkpoint, few: ImageData
) -> None:
    network = trained.build()
    assert trained.spec.latent_dim == 4 + DETAIL
    mean, logvar = network.encode(torch.rand(5, *few.image_shape), torch.arange(5))
    assert mean[:, -DETAIL:].eq(0).all()
    assert logvar[:, -DETAIL:].eq(0).all()
    assert (
        network.decode(detail_alone(trained), torch.zeros(50, dtype=torch.int64)).std(0).mean()
        > 1e-3
    )


def test_the_file_draws_the_same_images_as_the_network(
    trained: Checkpoint, model: VAEModel
) -> None:
    latent, label = detail_alone(trained), torch.arange(50) % 10
    torch.testing.assert_close(
        model.decode(latent, label), trained.build().decode(latent, label), atol=1e-4, rtol=0
    )


def test_samples_draw_detail_from_a_standard_normal(trained: Checkpoint, model: VAEModel) -> None:
    latents = trained.spec.latents
    assert latents is not None
    assert (latents.means[..., -DETAIL:] == 0).all()
    scales = latents.scales[latents.weights > 0]
    assert scales[:, -DETAIL:, -DETAIL:] == pytest.approx(
        np.tile(np.eye(DETAIL), (len(scales), 1, 1)), abs=1e-5
    )
    assert (scales[:, -DETAIL:, :-DETAIL] == 0).all()
    image, label = VAESyntheticDataset(model, 10, seed=0)[3]
    assert image.shape == (1, 8, 8)
    assert label == 3


@pytest.mark.parametrize("move", [interpolate, extrapolate])
def test_detail_does_not_lengthen_the_way_to_a_partner(move: object) -> None:
    mean, partner, logvar = torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3)
    padded = [torch.cat([rows, torch.zeros(5, DETAIL)], 1) for rows in (mean, logvar, partner)]
    moved = move(*padded, 0.1)  # type: ignore[operator]
    torch.testing.assert_close(moved[:, :3], move(mean, logvar, partner, 0.1))  # type: ignore[operator]


def test_a_resumed_run_gives_the_same_weights(
    trained: Checkpoint, few: ImageData, tmp_path: Path
) -> None:
    part = tmp_path / "part.safetensors"
    trainer = Trainer(few, ENERGY)
    for _ in range(3):
        trainer.update()
    save_checkpoint(trainer.checkpoint(), part)
    resumed = fit(few, part, ENERGY)
    assert all(
        torch.equal(resumed.weights[name], weight) for name, weight in trained.weights.items()
    )
    assert load_checkpoint(part).network["network"] == "energy-small"
