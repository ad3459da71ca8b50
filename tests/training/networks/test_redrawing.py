"""Models that are conditioned on an image: training on pairs, their file, and what uses them."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.helpers import run_command as run
from vae_augment import VAEAugment, VAEModel, VAESyntheticDataset, load
from vae_augment.errors import InputError, ModelFormatError, UnsafeModelError
from vae_augment.exporters import export
from vae_augment.generation import generate, verify
from vae_augment.model.kinds import REDRAWING
from vae_augment.training import (
    Checkpoint,
    FitConfig,
    ImageData,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from vae_augment.training.batches import random_warps
from vae_augment.training.data.image_data import to_float
from vae_augment.training.networks.redrawing import RedrawingVAE, grown, spline
from vae_augment.training.trainer import Trainer
from vae_augment.transforms.distortions import warp
from vae_augment.transforms.latent import partner_in_batch

QUICK = FitConfig(network="redrawing", latent_dim=4, epochs=2, batch_size=64, learning_rate=2e-3)
GOLDEN = Path(__file__).parents[2] / "data" / "format-2.onnx"


@pytest.fixture(scope="module")
def few(digits: ImageData) -> ImageData:
    return digits.subset(torch.arange(300))


@pytest.fixture(scope="module")
def checkpoint(few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("redrawing") / "r.safetensors"
    fit(few, path, QUICK)
    return path


@pytest.fixture(scope="module")
def path(checkpoint: Path) -> Path:
    """A file whose latents move the images visibly, which two epochs do not teach."""
    trained = load_checkpoint(checkpoint)
    generator = torch.Generator().manual_seed(0)
    weights = dict(trained.weights)
    for name in ("maps.weight", "prior.weight"):
        weights[name] = 0.05 * torch.randn(weights[name].shape, generator=generator)
    save_checkpoint(replace(trained, weights=weights), checkpoint.with_name("moved.safetensors"))
    export(checkpoint.with_name("moved.safetensors"), checkpoint.with_name("r.onnx"))
    return checkpoint.with_name("r.onnx")


@pytest.fixture
def model(path: Path) -> VAEModel:
    return load(path, provider="cpu")


def test_it_learns_how_images_of_a_class_differ(few: ImageData, tmp_path: Path) -> None:
    losses: list[float] = []
    config = replace(QUICK, epochs=20, beta=0.1, batch_size=50, learning_rate=6e-3)
    trained = fit(
        few,
        tmp_path / "a.safetensors",
        config,
        report=lambda epoch: losses.append(epoch.loss),
    )
    assert losses[-1] < 0.9 * losses[0]
    facts = trained.spec.training
    assert facts["redrawing_error"] < 0.8 * facts["unmoved_error"]
    assert facts["dimensions_in_use"] >= 2


def test_resume_in_mid_epoch_gives_the_same_weights(
    few: ImageData, checkpoint: Path, tmp_path: Path
) -> None:
    trainer = Trainer(few, QUICK)
    for _ in range(trainer.steps_per_epoch + 2):
        trainer.update()
    part = tmp_path / "part.safetensors"
    save_checkpoint(trainer.checkpoint(), part)
    expected, resumed = load_checkpoint(checkpoint).weights, fit(few, part, QUICK).weights
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.items())


@pytest.mark.slow
def test_two_ranks_train_the_weights_of_one(tmp_path: Path) -> None:
    weights = []
    for ranks in (1, 2):
        output = tmp_path / f"{ranks}.safetensors"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(ranks),
        ]
        command += [
            *"-m vae_augment fit digits --redraw --epochs 2 --precision float32 -o".split(),
            str(output),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        weights.append(load_checkpoint(output).weights)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-5, rtol=0)


def test_pairs_are_of_one_class_and_warped_alike(few: ImageData) -> None:
    trainer = Trainer(few, QUICK)
    image, target, label, noise, count = trainer.batches.at(0)
    assert (image.shape, target.shape, label, len(noise), count) == (
        (64, 1, 8, 8),
        (64, 1, 8, 8),
        None,
        64,
        64,
    )
    order, partner = trainer.batches._order, trainer.batches._partner
    assert torch.equal(few.labels[partner], few.labels)
    assert not (partner == torch.arange(300)).any()
    grids = random_warps(64, (1, 8, 8), torch.Generator().manual_seed(0))
    first = to_float(few.images[order[:64]])
    assert not torch.equal(image, first)
    torch.testing.assert_close(
        warp(torch.cat([first, first], 1), grids).chunk(2, 1)[1], warp(first, grids)
    )


def striped(*shape: int) -> torch.Tensor:
    """Images of black and white stripes."""
    images = torch.zeros(*shape, dtype=torch.uint8)
    images[..., ::2] = 255
    return images


def test_images_without_a_partner_are_left_out(few: ImageData) -> None:
    labels = few.labels.clone()
    labels[:10], labels[10] = -1, 11
    data = ImageData("d", few.images, labels, tuple(map(str, range(12))))
    assert len(Trainer(data, QUICK).data) == 300 - 11


@pytest.mark.parametrize(
    ("data", "config", "message"),
    [
        (
            lambda few: replace(few, labels=torch.full((300,), -1)),
            QUICK,
            "No class of digits has two images",
        ),
        (
            lambda few: ImageData(
                "odd", striped(4, 1, 9, 8), torch.zeros(4, dtype=torch.int64), ("a",)
            ),
            QUICK,
            "The images are 9 x 8; a model conditioned on an image needs sides that are multiples",
        ),
    ],
)
def test_data_that_do_not_serve(
    data: Callable[[ImageData], ImageData],
    config: FitConfig,
    message: str,
    few: ImageData,
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        fit(data(few), tmp_path / "a.safetensors", config)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("other", [{"conditional": True}, {"denoise": 0.1}, {"held_out": 0.2}])
def test_options_that_do_not_go_together(other: dict[str, float]) -> None:
    with pytest.raises(InputError, match="network='redrawing' does not go with"):
        replace(QUICK, **other)  # type: ignore[arg-type]


def test_the_spline_is_smooth_and_keeps_constants() -> None:
    matrix = spline(7, 28)
    torch.testing.assert_close(matrix.sum(1), torch.ones(28))
    assert (matrix >= 0).all()
    assert ((matrix > 0).sum(1) <= 4).all()


def test_a_new_network_leaves_images_as_they_are() -> None:
    network, image = RedrawingVAE((3, 32, 16), 5, classes=0, width=16), torch.rand(4, 3, 32, 16)
    torch.testing.assert_close(
        network.decode(torch.randn(4, 5), None, image), image, atol=1e-5, rtol=0
    )
    mean, logvar = network.encode(image)
    assert not mean.any()
    assert not logvar.any()


def test_the_change_shrinks_to_nothing_at_the_mean_of_the_prior() -> None:
    network = RedrawingVAE((1, 16, 16), 5, classes=0, width=16)
    torch.nn.init.normal_(network.maps.weight, std=0.02)
    image = torch.rand(4, 1, 16, 16)
    mean, _ = network.encode(image)  # the prior is N(0, I)
    direction = torch.nn.functional.normalize(torch.randn(4, 5), dim=1) * 5**0.5

    def change(spreads: float) -> float:
        return (network.decode(mean + spreads * direction, None, image) - image).abs().mean().item()

    assert change(0.0) == pytest.approx(0, abs=1e-5)
    near, far, farther = (change(spreads) for spreads in (0.01, 0.1, 1.0))
    assert far == pytest.approx(10 * near, rel=0.2)
    assert far < 0.2 * farther


def test_strokes_grow_and_shrink_by_a_pixel_on_each_side() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3:6] = 1.0
    widths = [grown(image, torch.full_like(image, growth)).sum(3) for growth in (-1.0, 0.0, 1.0)]
    assert [set(width.flatten().tolist()) for width in widths] == [{1.0}, {3.0}, {5.0}]


def test_the_file_says_what_it_is(model: VAEModel, path: Path) -> None:
    spec = model.spec
    assert (spec.format_version, spec.kind) == (3, REDRAWING)
    assert (spec.classes, spec.latents) == ((), None)
    assert (
        "Images redrawn towards another image of their class have"
        in run("info", path, "--check")[1]
    )


def test_the_parts_agree_with_the_whole(model: VAEModel) -> None:
    image, noise = torch.rand(5, 1, 8, 8), torch.randn(5, 4)
    mean, logvar = model.encode(image)
    decoded = model.decode(mean + 0.7 * (0.5 * logvar).exp() * noise, images=image)
    torch.testing.assert_close(decoded, model.redraw(image, noise, 0.7), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        model.reconstruct(image), model.redraw(image, noise, 0.0), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda model: model.sample(3),
            "'r' is conditioned on an image: it redraws images that it is given",
        ),
        (
            lambda model: VAESyntheticDataset(model, 5),
            "VAESyntheticDataset with images= and labels=, or .vae-augment generate --images DATA.",
        ),
        (lambda model: model.decode(torch.zeros(1, 4)), "its decoder needs the `images` too"),
        (
            lambda model: model.decode(torch.zeros(2, 4), images=torch.zeros(3, 1, 8, 8)),
            "latent has 2, image has 3",
        ),
        # 1024 are run at a time: the one number that is left would serve all images that are left.
        (
            lambda model: model.redraw(torch.zeros(1030, 1, 8, 8), torch.zeros(1025, 4)),
            "image has 1030, noise has 1025",
        ),
        (
            lambda model: model.redraw(torch.zeros(3, 1, 8, 8), torch.zeros(3, 5)),
            "The noise has the shape",
        ),
        (lambda model: model.anomaly_score(torch.zeros(1, 1, 8, 8)), "so it gives no likelihood"),
        (lambda model: VAEAugment(model, residual=True), "residual=True has no meaning"),
        (lambda model: VAEAugment(model, mode="interpolation"), "offers the mode .posterior. only"),
        (lambda model: VAEAugment(model, labels_getter="default"), "knows no classes"),
    ],
)
def test_what_has_no_meaning_for_it(
    model: VAEModel, use: Callable[[VAEModel], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        use(model)


@pytest.mark.parametrize("command", ["preview", "generate", "score", "compress"])
def test_commands_say_what_is_missing(command: str, path: Path, tmp_path: Path) -> None:
    arguments = {
        "preview": [path, "-o", tmp_path / "p.png"],
        "generate": [path, "-n", "3", "-o", tmp_path / "out"],
        "score": [path, "digits", "-o", tmp_path / "s.csv"],
        "compress": [path, "digits", "-o", tmp_path / "c.npz"],
    }[command]
    code, text = run(command, *arguments)
    assert code == 1
    assert text.startswith("error: 'r' is conditioned on an image")
    assert not (tmp_path / "out" / "plan.json").exists()


def test_preview_and_embed(path: Path, tmp_path: Path) -> None:
    assert run("preview", path, "digits", "-o", tmp_path / "p.png")[0] == 0
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.height == 7 * 52 + 4  # originals, reconstructions and five strengths
    assert run("embed", path, "digits", "--test", "-o", tmp_path / "e.npz")[0] == 0


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.full((8, 8), 200, np.uint8)),
        tv_tensors.Image(torch.randint(256, (1, 8, 8), dtype=torch.uint8)),
        torch.rand(3, 2, 1, 8, 8),
        torch.rand(1, 8, 8, dtype=torch.float16),
    ],
    ids=["PIL", "tv_tensor", "batches of batches", "half"],
)
def test_images_keep_their_kind(model: VAEModel, image: torch.Tensor | Image.Image) -> None:
    transform = v2.Compose([VAEAugment(model, p=1.0)])
    out = transform(image)
    assert type(out) is type(image)
    if isinstance(image, torch.Tensor):
        assert (out.shape, out.dtype) == (image.shape, image.dtype)
        assert not torch.equal(out, image)


def test_the_same_seed_gives_the_same_images_and_strength_counts(model: VAEModel) -> None:
    image = torch.rand(20, 1, 8, 8)

    def redrawn(strength: float) -> torch.Tensor:
        torch.manual_seed(1)
        return VAEAugment(model, p=1.0, strength=strength)(image)

    assert torch.equal(redrawn(1.0), redrawn(1.0))
    torch.testing.assert_close(redrawn(0.0), model.reconstruct(image), atol=1e-5, rtol=0)
    near, far = ((redrawn(strength) - redrawn(0.0)).abs().mean() for strength in (0.5, 2.0))
    assert 0 < near < far
    assert VAEAugment(model).residual is False
    assert VAEAugment.from_dict(VAEAugment(model).to_dict()).residual is False
    assert torch.equal(
        redrawn(1.0),
        (torch.manual_seed(1), pickle.loads(pickle.dumps(VAEAugment(model, p=1.0)))(image))[1],
    )


@pytest.fixture
def redrawn(path: Path, few: ImageData) -> VAESyntheticDataset:
    chosen = (few.labels == 3) | (few.labels == 7)
    return VAESyntheticDataset(
        path, 50, images=few.images[chosen], labels=few.labels[chosen], seed=5
    )


def test_new_images_of_classes_that_the_model_never_saw(
    redrawn: VAESyntheticDataset, few: ImageData
) -> None:
    items = [redrawn[index] for index in range(50)]
    assert [label for _, label in items] == [3, 7] * 25
    assert redrawn.targets.tolist() == [3, 7] * 25
    assert redrawn.classes == [str(index) for index in range(8)]
    assert repr(redrawn).startswith("VAESyntheticDataset('r', length=50, images=")
    for index, (image, label) in enumerate(items):  # each is a redrawing of one image of its class
        originals = few.images[few.labels == label]
        _, inputs = redrawn._drawn(np.array([index]))
        original = inputs["image"]
        assert (originals == (255 * original).round()).all((1, 2, 3)).any()
        torch.testing.assert_close(image, redrawn.model.redraw(original, inputs["noise"])[0])


def test_torchs_default_dtype_changes_nothing(redrawn: VAESyntheticDataset) -> None:
    expected = redrawn[0][0]
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(redrawn[0][0], expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_an_item_depends_on_seed_epoch_and_index_alone(redrawn: VAESyntheticDataset) -> None:
    expected = torch.stack([redrawn[index][0] for index in range(50)])
    loader = DataLoader(redrawn, 7, num_workers=2, multiprocessing_context="fork")
    torch.testing.assert_close(
        torch.cat([images for images, _ in loader]), expected, atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        torch.cat([images for images, _ in redrawn.batches(9)]), expected, atol=1e-6, rtol=0
    )
    redrawn.set_epoch(1)
    assert not torch.equal(redrawn[0][0], expected[0])
    assert redrawn[0][1] == 3


@pytest.mark.parametrize("labels", [[0], [-1, 0], "balanced", []])
def test_labels_that_do_not_go_with_the_images(path: Path, few: ImageData, labels: object) -> None:
    with pytest.raises(InputError, match="do not go with 2 images; give the class index of each"):
        VAESyntheticDataset(path, 5, images=few.images[:2], labels=labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "index", [10_000, 10**12]
)  # a name for each up to it would fill the memory
def test_class_indices_that_are_none(index: int, path: Path, few: ImageData) -> None:
    with pytest.raises(
        InputError, match=f"labels go up to {index}; the largest class index is 9999"
    ):
        VAESyntheticDataset(path, 5, images=few.images[:2], labels=np.array([0, index], np.uint64))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("photos", [0]),
        ([torch.zeros(1, 8, 8)] * 2, [0, 1]),
        (torch.zeros(2, 1, 8, 8), [[0], [0, 1]]),
    ],
)
def test_images_and_labels_that_are_no_tensors(path: Path, images: object, labels: object) -> None:
    with pytest.raises(InputError, match=r"images cannot be read|are not one number per image"):
        VAESyntheticDataset(path, 5, images=images, labels=labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("convert", [torch.clone, to_float])
def test_images_are_those_of_the_time_when_they_were_given(
    path: Path, few: ImageData, convert: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    images = convert(few.images)
    data = VAESyntheticDataset(path, 5, images=images, labels=few.labels)
    expected = data[0][0]
    images.zero_()
    assert torch.equal(data[0][0], expected)


def test_images_for_a_model_that_takes_none(tiny_model_path: Path, few: ImageData) -> None:
    with pytest.raises(InputError, match="is not conditioned on an image"):
        VAESyntheticDataset(tiny_model_path, 5, images=few.images, labels=few.labels)


def shards(folder: Path) -> dict[str, np.ndarray]:
    files = [np.load(file) for file in sorted(folder.glob("train-*.npz"))]
    return {key: np.concatenate([file[key] for file in files]) for key in ("images", "labels")} | {
        "classes": files[0]["classes"]
    }


def test_shards_hold_the_images_of_the_dataset(
    path: Path, few: ImageData, redrawn: VAESyntheticDataset, tmp_path: Path
) -> None:
    chosen = (few.labels == 3) | (few.labels == 7)
    given = {
        "images": few.images[chosen],
        "labels": few.labels[chosen],
        "seed": 5,
        "shard_size": 20,
    }
    manifest = generate(path, 50, tmp_path / "out", workers=2, **given)
    redrawn.output = "uint8"
    images, labels = next(redrawn.batches(50))
    made = shards(tmp_path / "out")
    # Blocks of other sizes may round a grey level differently.
    assert np.abs(made["images"].astype(int) - images.numpy().astype(int)).max() <= 1
    assert made["labels"].tolist() == labels.tolist()
    assert made["classes"].tolist() == redrawn.classes
    assert verify(tmp_path / "out") == manifest
    same = generate(
        path, 50, tmp_path / "again", workers=1, **given | {"images": given["images"].float() / 255}
    )
    assert (tmp_path / "again" / "train-00001-of-00003.npz").read_bytes() == (
        tmp_path / "out" / "train-00001-of-00003.npz"
    ).read_bytes()
    assert (
        same.plan.originals != manifest.plan.originals
    )  # float images could have levels between those of uint8


def test_generate_redraws_the_images_of_a_folder_and_resumes(
    path: Path, few: ImageData, tmp_path: Path
) -> None:
    for row, label in enumerate(few.labels[:30].tolist()):
        (tmp_path / "data" / f"no. {label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(few.images[row, 0].numpy()).save(
            tmp_path / "data" / f"no. {label}" / f"{row}.png"
        )
    arguments = [
        "generate",
        path,
        "-n",
        12,
        "-o",
        tmp_path / "out",
        "--images",
        tmp_path / "data",
        "--workers",
        1,
    ]
    code, text = run(*map(str, arguments))
    assert (code, "12 images in 1 shards" in text) == (0, True)
    made = shards(tmp_path / "out")
    assert made["classes"].tolist() == [f"no. {label}" for label in range(10)]
    assert made["labels"].tolist() == [*range(10), 0, 1]
    assert "as planned" in run(*map(str, arguments))[1]
    assert run("generate", "-o", str(tmp_path / "out"), "--verify")[0] == 0
    (tmp_path / "data" / "no. 3" / "3.png").unlink()
    code, text = run(*map(str, arguments))
    assert (code, "belongs to another plan: originals is" in text) == (2, True)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("7", [7, 7, 7, 7]),
        ("3,7", [3, 7, 3, 7]),
        ("3:0.9,7:0.1", "with --images give classes without weights"),
        ("ten", "There is no class 'ten'"),
    ],
)
def test_generate_redraws_chosen_classes(
    labels: str, expected: object, path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        "generate",
        path,
        "-n",
        4,
        "-o",
        out,
        "--images",
        "digits",
        "--labels",
        labels,
        "--workers",
        1,
    ]
    code, text = run(*map(str, command))
    if isinstance(expected, str):
        assert (code, expected in text, out.exists()) == (1, True, False)
    else:
        assert (code, shards(out)["labels"].tolist()) == (0, expected)


def test_images_of_another_size_are_refused_before_anything_is_written(
    path: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", images=striped(4, 9, 9).numpy(), labels=np.arange(4))
    command = ["generate", path, "-n", 4, "-o", tmp_path / "out", "--images", tmp_path / "a.npz"]
    code, text = run(*map(str, command))
    assert (code, "9" in text, (tmp_path / "out").exists()) == (1, True, False)
    assert text.startswith("error: ")
    np.savez(tmp_path / "b.npz", images=striped(4, 8, 8).numpy())
    code, text = run(*map(str, command[:-1]), str(tmp_path / "b.npz"))
    assert (code, "give the class index of each" in text, (tmp_path / "out").exists()) == (
        1,
        True,
        False,
    )


def changed(path: Path, folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


def with_spec(old: str, new: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = model.metadata_props
        assert old in entry.value
        entry.value = entry.value.replace(old, new)

    return change


def sampled_by(name: str, value: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        (node,) = (node for node in model.graph.node if node.op_type == "GridSample")
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (with_spec('"format_version": 3', '"format_version": 2'), ModelFormatError, "has the keys"),
        (
            with_spec('"kind": "redrawing"', '"kind": "recolouring"'),
            ModelFormatError,
            "kind is 'recolouring'; this vae-augment knows sampling, redrawing",
        ),
        (
            with_spec('"classes": []', '"classes": ["a"]'),
            ModelFormatError,
            "on an image, but names classes",
        ),
        (
            with_spec('"format_version": 3', '"format_version": 3.0'),
            ModelFormatError,
            "format_version is '3.0', which the format does not allow",
        ),
        (
            with_spec('"kind": "redrawing"', '"kind": "sampling"'),
            ModelFormatError,
            "image reaches them past it",
        ),
        (
            sampled_by("padding_mode", "reflection"),
            UnsafeModelError,
            "padding_mode = b'reflection'",
        ),
        (sampled_by("mode", "bicubic"), UnsafeModelError, "mode = b'bicubic'"),
    ],
)
def test_files_that_break_the_rules(
    path: Path,
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], None],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        load(changed(path, tmp_path, change))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e38, 1e38])
def test_coordinates_far_outside_do_not_crash(value: float) -> None:
    import onnxruntime

    node = onnx.helper.make_node(
        "GridSample", ["x", "grid"], ["y"], mode="bilinear", padding_mode="zeros"
    )
    kinds = {"x": [2, 1, 8, 8], "grid": [2, 8, 8, 2], "y": [2, 1, 8, 8]}
    values = {
        name: onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in kinds.items()
    }
    graph = onnx.helper.make_graph([node], "g", [values["x"], values["grid"]], [values["y"]])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        "x": np.ones((2, 1, 8, 8), np.float32),
        "grid": np.full((2, 8, 8, 2), value, np.float32),
    }
    assert session.run(None, feeds)[0].shape == (2, 1, 8, 8)


def test_partners_in_a_file_are_not_the_image_itself() -> None:
    labels = torch.tensor([0, 1, 0, 1, 2])
    assert partner_in_batch(labels, torch.rand(5)).tolist() == [2, 3, 0, 1, 4]


def test_checkpoints_build_the_right_network(checkpoint: Path) -> None:
    found: Checkpoint = load_checkpoint(checkpoint)
    assert isinstance(found.build(), RedrawingVAE)
    assert dict(found.network) == {"network": "redrawing", "classes": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {}},
        {"network": {"network": "conv"}},
        {"network": {"network": "redrawing", "depth": 3}},
        {"network": {}},
    ],
)
def test_forged_checkpoints_are_refused(
    checkpoint: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    save_checkpoint(replace(load_checkpoint(checkpoint), **change), tmp_path / "forged.safetensors")  # type: ignore[arg-type]
    with pytest.raises(
        ModelFormatError, match=r"forged\.safetensors cannot be read as a checkpoint"
    ):
        load_checkpoint(tmp_path / "forged.safetensors").build()
