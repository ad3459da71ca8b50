"""Networks, objective, and the promise that a resumed run is the run."""

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.helpers import DATA, needs_mnist
from vae_augment import VAEAugment, load
from vae_augment.errors import InputError, ModelFormatError, OutputExistsError, VAEAugmentError
from vae_augment.exporters import export
from vae_augment.model.posterior import kl_divergence
from vae_augment.training import (
    FitConfig,
    ImageData,
    fit,
    fit_latents,
    load_checkpoint,
    load_data,
    save_checkpoint,
)
from vae_augment.training.fitting import Epoch, _CheckpointFile
from vae_augment.training.latent_distribution import room_per_class
from vae_augment.training.networks import build_network
from vae_augment.training.trainer import Trainer

SMALL = FitConfig(network="conv-small", conditional=True, epochs=3, batch_size=64)


@pytest.fixture(scope="module")
def few(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(200))


def same_weights(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_mlp_has_the_classic_layers() -> None:
    shapes = {
        name: tuple(value.shape)
        for name, value in build_network((1, 28, 28), 20, network="mlp").named_parameters()
        if value.ndim == 2
    }
    assert sorted(shapes.values()) == sorted(
        [(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)]
    )


@pytest.mark.parametrize("network", ["mlp", "conv-small", "energy-small"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 9, 13)])
def test_networks_take_any_shape(network: str, shape: tuple[int, int, int]) -> None:
    model = build_network(shape, 20, network=network, classes=3)
    image = torch.rand(2, *shape)
    mean, logvar = model.encode(image, torch.tensor([-1, 2]))
    assert mean.shape == logvar.shape == (2, 20)
    decoded = model.decode(mean, torch.tensor([-1, 2]))
    assert decoded.shape == image.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_unknown_label_is_a_zero_vector_and_labels_matter() -> None:
    model = build_network((1, 8, 8), 4, network="conv-small", classes=3)
    latent = torch.zeros(1, 4)
    assert torch.equal(model.decode(latent), model.decode(latent, torch.tensor([-1])))
    assert not torch.equal(model.decode(latent), model.decode(latent, torch.tensor([2])))


def test_elbo_terms_against_their_definitions() -> None:
    model = build_network((1, 8, 8), 5, network="mlp")
    image, noise = torch.rand(4, 1, 8, 8), torch.randn(4, 5)
    terms = model(image, image, None, noise)
    mean, logvar = model.encode(image)
    decoded = model.decode(mean + (logvar / 2).exp() * noise)
    expected = F.binary_cross_entropy(decoded, image, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(terms.reconstruction, expected)
    posterior = torch.distributions.Normal(mean, (logvar / 2).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(terms.kl, torch.distributions.kl_divergence(posterior, prior).sum(1))
    assert kl_divergence(torch.zeros(1, 5), torch.zeros(1, 5)).item() == 0


def test_same_seed_same_weights_other_seed_others(few: ImageData, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=1)
    one, two = (fit(few, tmp_path / f"{name}.safetensors", config).weights for name in "ab")
    other = fit(few, tmp_path / "c.safetensors", replace(config, seed=1)).weights
    assert same_weights(one, two)
    assert not same_weights(one, other)


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


def test_fit_does_not_disturb_the_global_generator(few: ImageData, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fit(few, tmp_path / "a.safetensors", replace(SMALL, epochs=1))
    assert torch.equal(torch.rand(1), expected)


def test_resume_in_mid_epoch_gives_the_same_weights(few: ImageData, tmp_path: Path) -> None:
    whole = fit(few, tmp_path / "whole.safetensors", SMALL)
    trainer = Trainer(few, SMALL)
    for _ in range(trainer.steps_per_epoch + 2):
        trainer.update()
    part = tmp_path / "part.safetensors"
    save_checkpoint(trainer.checkpoint(), part)
    resumed = fit(few, part, SMALL)
    assert resumed.is_finished
    assert same_weights(whole.weights, resumed.weights)
    assert (tmp_path / "whole.safetensors").read_bytes() == part.read_bytes()


def test_a_run_killed_after_its_last_step_keeps_the_facts(few: ImageData, tmp_path: Path) -> None:
    path, config = tmp_path / "a.safetensors", replace(SMALL, epochs=1)
    whole = fit(few, path, config).spec
    trainer = Trainer(few, config)
    while not trainer.is_finished:
        trainer.update()
    trainer.facts |= {"loss": whole.training["loss"]}
    save_checkpoint(trainer.checkpoint(), path)
    assert fit(few, path, config).spec.training["loss"] == whole.training["loss"]


def test_a_checkpoint_says_how_many_epochs_were_run(few: ImageData, tmp_path: Path) -> None:
    trainer = Trainer(few, SMALL)
    for _ in range(trainer.steps_per_epoch + 1):
        trainer.update()
    path = tmp_path / "a.safetensors"
    save_checkpoint(trainer.checkpoint(), path)
    assert load_checkpoint(path).spec.training["epochs_run"] == 1
    assert fit(few, path, SMALL).spec.training["epochs_run"] == SMALL.epochs


def test_resume_refuses_other_settings(few: ImageData, tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    trainer = Trainer(few, SMALL)
    trainer.update()
    save_checkpoint(trainer.checkpoint(), part)
    with pytest.raises(InputError, match="unfinished run with other settings: seed 0, now 1"):
        fit(few, part, replace(SMALL, seed=1))


def test_a_finished_checkpoint_is_not_replaced(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    config = replace(SMALL, epochs=1)
    fit(few, path, config)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        fit(few, path, config)
    assert path.read_bytes() == before
    fit(few, path, config, overwrite=True)


def test_divergence_stops_and_names_the_step(few: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(
        VAEAugmentError, match=r"The loss is (nan|inf) at step \d+ of 12\..*--learning-rate"
    ):
        fit(few, path, replace(SMALL, network="mlp", learning_rate=1e20))
    assert not load_checkpoint(path).is_finished


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1."),
        ({"epochs": 2.5}, "epochs is 2.5; it must be an integer."),
        ({"batch_size": True}, "batch_size is True; it must be an integer."),
        ({"seed": 1.0}, "seed is 1.0; it must be an integer."),
        ({"seed": -1}, "seed is -1; it must lie in 0..2**64 - 1."),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be greater than 0."),
        ({"label_dropout": 2.0}, "label_dropout is 2.0; it must lie in [0, 1]."),
        ({"denoise": -0.1}, "denoise is -0.1; it must be finite and at least 0."),
    ],
)
def test_config_refusals(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(SMALL, **changes)
    assert str(caught.value) == message


def test_a_config_of_numpys_numbers_can_be_saved_and_resumed(digits: ImageData, tmp_path: Path):
    changes = {
        "seed": np.int64(3),
        "epochs": np.int32(1),
        "beta": np.float32(0.5),
        "batch_size": torch.tensor(900),
    }
    config = FitConfig(network="conv-small", **changes)
    assert config == FitConfig(network="conv-small", seed=3, epochs=1, beta=0.5, batch_size=900)
    assert fit(digits, tmp_path / "a.safetensors", config).spec.training["seed"] == 3


def test_labels_that_are_not_int64_are_refused(digits: ImageData):
    for labels in (digits.labels + 0.7, digits.labels.to(torch.uint8)):
        with pytest.raises(
            InputError, match=f"digits has labels of type {labels.dtype}; give int64"
        ):
            replace(digits, labels=labels)


def test_unknown_network_and_missing_labels(few: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="network is 'vit'; choose one of mlp, conv-small"):
        fit(few, tmp_path / "a", replace(SMALL, network="vit"))
    unlabelled = ImageData("mine", few.images, torch.full_like(few.labels, -1))
    with pytest.raises(InputError, match="mine has no labels, which a conditional model needs"):
        fit(unlabelled, tmp_path / "a", SMALL)


def test_a_conditional_model_of_a_single_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "photos" / "cats" / "1.png")
    photos, output = load_data(tmp_path / "photos"), tmp_path / "a.safetensors"
    with pytest.raises(
        InputError, match="photos has one class, 'cats'; a conditional model needs at least two"
    ):
        fit(photos, output, SMALL)
    assert not output.exists()
    fit(photos, output, replace(SMALL, conditional=False, epochs=1))


def test_latents_by_class_and_without(few: ImageData) -> None:
    model = build_network(few.image_shape, 6, network="conv-small", classes=10).eval()
    latents = fit_latents(model.encode, few)
    assert latents.weights.shape[0] == 10
    assert len(latents.bank) == len(latents.bank_given_label) == len(latents.bank_labels) == 0
    with_bank = fit_latents(model.encode, few, keep_bank=True)
    assert with_bank.bank.shape == with_bank.bank_given_label.shape == (200, 6)
    assert np.array_equal(with_bank.means, latents.means)
    unlabelled = ImageData("mine", few.images, torch.full_like(few.labels, -1))
    assert fit_latents(model.encode, unlabelled).weights.shape[0] == 1


def test_a_small_class_is_drawn_around_its_own_images(few: ImageData) -> None:
    model = build_network(few.image_shape, 6, network="conv-small").eval()
    rows = torch.cat([torch.nonzero(few.labels == label)[: 3 + label, 0] for label in range(2)])
    latents = fit_latents(model.encode, few.subset(rows))
    assert (latents.weights[0] > 0).sum() == 3
    assert (latents.weights[1] > 0).sum() == 4
    assert latents.weights.sum(1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("classes", "dim", "components"), [(10, 16, 150), (10, 24, 77), (10, 48, 20), (2000, 48, 2)]
)
def test_components_per_class_as_a_file_has_room(classes: int, dim: int, components: int) -> None:
    assert room_per_class(classes, dim, 3_000_000)[0] == components


def test_checkpoint_refusals(tmp_path: Path, few: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(ModelFormatError, match=r"is not a readable \.safetensors file"):
        load_checkpoint(path)
    import safetensors.torch

    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelFormatError, match="not a checkpoint of vae-augment fit"):
        load_checkpoint(path)


def with_facts(path: Path, facts: object) -> Path:
    import safetensors.torch

    text = facts if isinstance(facts, str) else json.dumps(facts)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"vae_augment.checkpoint": text})
    return path


@pytest.mark.parametrize(
    "facts",
    ["{", "[" * 100_000, "[]", {}, {"version": 2}, {"version": 3}, {"version": 2, "network": 3}],
)
def test_broken_facts_of_a_checkpoint_are_our_error(facts: object, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read as a checkpoint: "):
        load_checkpoint(with_facts(tmp_path / "a.safetensors", facts))


def test_no_flipped_bit_of_a_checkpoint_loads(tiny_checkpoint: Path, tmp_path: Path) -> None:
    content = tiny_checkpoint.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    generator, path = random.Random(0), tmp_path / "a.safetensors"
    for place in (
        *generator.sample(range(header), 60),
        *generator.sample(range(header, len(content)), 60),
    ):
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(VAEAugmentError):
            load_checkpoint(path)


def test_a_checkpoint_without_checksum_still_loads(tiny_checkpoint: Path, tmp_path: Path) -> None:
    import safetensors.torch

    with safetensors.safe_open(tiny_checkpoint, framework="pt") as file:
        facts = json.loads(file.metadata()["vae_augment.checkpoint"])
    del facts["sha256"]
    metadata = {"vae_augment.checkpoint": json.dumps(facts)}
    safetensors.torch.save_file(
        safetensors.torch.load_file(tiny_checkpoint), tmp_path / "a", metadata
    )
    assert same_weights(
        load_checkpoint(tmp_path / "a").weights, load_checkpoint(tiny_checkpoint).weights
    )


COMMAND = [
    sys.executable,
    "-m",
    "vae_augment",
    "fit",
    "digits",
    "--network",
    "conv-small",
    "--epochs",
    "40",
]


def started(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [*COMMAND, "-o", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    return process


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_resumes(tmp_path: Path, digits: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    process = started(path)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command resumes it." in rest
    assert not load_checkpoint(path).is_finished
    subprocess.run([*COMMAND, "-o", str(path)], check=True, timeout=120)
    whole = fit(digits, tmp_path / "b.safetensors", FitConfig(network="conv-small", epochs=40))
    assert same_weights(load_checkpoint(path).weights, whole.weights)


@pytest.mark.slow
def test_kill_and_resume_gives_the_same_weights(tmp_path: Path, digits: ImageData) -> None:
    path = tmp_path / "a.safetensors"
    process = started(path)
    process.kill()
    process.communicate(timeout=10)
    assert not load_checkpoint(path).is_finished
    subprocess.run([*COMMAND, "-o", str(path)], check=True, timeout=120)
    whole = fit(digits, tmp_path / "b.safetensors", FitConfig(network="conv-small", epochs=40))
    assert same_weights(load_checkpoint(path).weights, whole.weights)


@pytest.mark.slow
@needs_mnist
@pytest.mark.timeout(900)
def test_classic_network_reaches_the_classic_loss(tmp_path: Path) -> None:
    """Grey-level cross-entropy plus KL of MNIST's test images after ten epochs.

    The classic script's 105 to 106.
    """
    config = FitConfig(network="mlp", epochs=10)
    model = fit(load_data("mnist", DATA), tmp_path / "mlp.safetensors", config).build()
    test = load_data("mnist", DATA, train=False).images.float() / 255
    with torch.inference_mode():
        terms = model(test, test, None, torch.randn(len(test), 20))
    loss = (terms.reconstruction + terms.kl).mean().item()
    assert loss <= 106.0, loss


def test_held_out_images_stop_training_and_the_best_epoch_is_kept(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(SMALL, epochs=60, held_out=0.5, patience=2, learning_rate=2e-2, network="mlp")
    losses: list[float] = []
    checkpoint = fit(
        digits.subset(torch.arange(60)),
        tmp_path / "a.safetensors",
        config,
        report=lambda e: losses.append(e.held_out or 0),
    )
    assert len(losses) < 60
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2
    assert checkpoint.spec.training["best_epoch"] == best
    assert checkpoint.spec.training["epochs_run"] == len(losses)


def test_held_out_run_resumes_to_the_same_weights(few: ImageData, tmp_path: Path) -> None:
    config = replace(SMALL, held_out=0.25)
    whole = fit(few, tmp_path / "whole.safetensors", config)
    trainer = Trainer(few, config)
    for _ in range(trainer.steps_per_epoch):
        trainer.update()
    trainer.measure_held_out()
    part = tmp_path / "part.safetensors"
    save_checkpoint(trainer.checkpoint(), part)
    assert same_weights(whole.weights, fit(few, part, config).weights)


def test_denoising_takes_noise_in_and_clean_images_out(few: ImageData) -> None:
    trainer = Trainer(few, replace(SMALL, denoise=0.5))
    batch = trainer.batches.at(3)
    noisy = batch.image
    assert 0.1 < (noisy - batch.target).std() < 0.5
    assert torch.equal(noisy, Trainer(few, trainer.config).batches.at(3).image)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["--network=mlp", "--network=conv-small", "--network=energy-small"]
)
def test_two_ranks_train_the_weights_of_one(option: str, tmp_path: Path) -> None:
    arguments = [*("digits --epochs 2 --conditional --precision float32 --denoise 0.1").split()]
    weights = []
    for ranks in (1, 2):
        path = tmp_path / f"{ranks}.safetensors"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(ranks),
        ]
        command += ["-m", "vae_augment", "fit", *arguments, option, "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("wrote ") == 1
        weights.append(load_checkpoint(path).weights)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 64)])
def test_larger_and_coloured_images_go_the_whole_way(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(40, *shape, generator=generator)).to(torch.uint8)
    data = ImageData("made", images, torch.arange(40) % 2, ("a", "b"))
    checkpoint, path = tmp_path / "c.safetensors", tmp_path / "m.onnx"
    fit(data, checkpoint, replace(SMALL, epochs=1, latent_dim=6))
    export(checkpoint, path)
    augmented = VAEAugment(path, p=1.0)(images)
    assert augmented.shape == images.shape
    assert not torch.equal(augmented, images)
    assert load(path).sample(4)[0].shape == (4, *shape)


FULL_DISK = """
import resource, sys, torch
from vae_augment.training import FitConfig, fit, load_data
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
fit(load_data("digits").subset(torch.arange(200)), sys.argv[1], FitConfig(network="conv-small", epochs=1), overwrite=True)
"""


def test_a_full_disk_leaves_the_earlier_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    before = tiny_checkpoint.read_bytes()
    path.write_bytes(before)
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


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


# Two runs into one output

OTHER = "import sys; from pathlib import Path; Path(sys.argv[1]).write_bytes(b'of another process')"


def written_by_another_process(path: Path) -> None:
    subprocess.run([sys.executable, "-c", OTHER, path], check=True)


def test_of_two_runs_that_start_together_one_stops_at_its_first_save(
    digits: ImageData, tmp_path: Path
):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=2, batch_size=900),
    )

    def start_another(epoch: object) -> None:
        with pytest.raises(OutputExistsError, match="exists already and was left as it is"):
            rival.save(load_checkpoint(output))

    rival = _CheckpointFile(output, overwrite=False)
    fit(digits, output, config, report=start_another)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert load_checkpoint(output).is_finished


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_another_process_wrote_is_left_and_the_work_kept(
    digits: ImageData, tmp_path: Path, overwrite: bool
):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=2, batch_size=900),
    )

    def disturb(epoch: Epoch) -> None:
        if epoch.number == 2:
            written_by_another_process(output)

    if overwrite:
        fit(digits, output, config, overwrite=True, report=disturb)
        assert load_checkpoint(output).is_finished
        return
    with pytest.raises(OutputExistsError, match="Another process has written") as caught:
        fit(digits, output, config, report=disturb)
    assert output.read_bytes() == b"of another process"
    (kept,) = [path for path in tmp_path.iterdir() if path != output]
    assert str(kept) in str(caught.value)
    assert load_checkpoint(kept).is_finished


def test_a_run_whose_file_was_removed_writes_it_again(digits: ImageData, tmp_path: Path):
    output, config = (
        tmp_path / "a.safetensors",
        FitConfig(network="conv-small", epochs=1, batch_size=900),
    )
    fit(digits, output, config, report=lambda epoch: output.unlink())
    assert load_checkpoint(output).is_finished
