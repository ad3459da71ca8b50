"""One step: its precision, its gradients, and a loss that is not finite."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.helpers import SMALL, shapes
from vae_augment.errors import VAEAugmentError
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    load_checkpoint,
)
from vae_augment.training.networks.base import Terms
from vae_augment.training.trainer import Trainer


@pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="torch before 2.9 has no such precision"
)
def test_an_update_that_fails_leaves_torchs_precision_as_it_was(few: ImageData) -> None:
    trainer = Trainer(few, SMALL)
    trainer.objective.precision = torch.bfloat16  # as where there are matrix units
    before = torch.backends.mkldnn.matmul.fp32_precision
    found = []
    trainer.objective.call.register_forward_pre_hook(
        lambda *_: found.append(torch.backends.mkldnn.matmul.fp32_precision)
    )
    trainer.network.mean.bias.data.fill_(float("nan"))
    with pytest.raises(VAEAugmentError):
        trainer.update()
    assert (found, torch.backends.mkldnn.matmul.fp32_precision) == (["bf16"], before)


def test_divergence_stops_and_names_the_step(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(
        VAEAugmentError, match=r"The loss is (nan|inf) at step \d+ of 12\..*--learning-rate"
    ):
        fit(few, path, replace(SMALL, network="mlp", learning_rate=1e20))
    assert not load_checkpoint(path).is_finished


def test_ruined_weights_do_not_replace_a_sound_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruining(self: Trainer) -> Terms:
        terms = update(self)
        if self.step == 3:
            self.network.mean.bias.data.fill_(float("nan"))
        return terms

    update = Trainer.update
    monkeypatch.setattr(Trainer, "update", ruining)
    monkeypatch.setattr("vae_augment.training.fitting.SECONDS_BETWEEN_SAVES", -1.0)
    path = tmp_path / "a.safetensors"
    with pytest.raises(
        VAEAugmentError, match=r"Weights are not finite at step 3 .*smaller --learning-rate and --o"
    ):
        fit(shapes(30, 8, 1), path, FitConfig(network="conv-small", batch_size=10))
    checkpoint = load_checkpoint(path)
    assert int(checkpoint.state["step"]) == 2
    assert all(tensor.isfinite().all() for tensor in checkpoint.weights.values())


@pytest.mark.gpu
@pytest.mark.parametrize(
    "changes", [{"network": "mlp"}, {"network": "conv-small"}, {"network": "energy-small"}]
)
def test_training_on_cuda(changes: dict[str, str], few: ImageData, tmp_path: Path) -> None:
    losses: list[float] = []
    config = replace(SMALL, **changes, device="cuda", epochs=5)
    checkpoint = fit(
        few, tmp_path / "a.safetensors", config, report=lambda epoch: losses.append(epoch.loss)
    )
    assert losses[-1] < losses[0]
    assert all(not tensor.is_cuda for tensor in checkpoint.build().state_dict().values())
