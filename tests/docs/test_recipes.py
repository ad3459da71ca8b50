"""Executes the blocks of docs/recipes.md, with small digits in the place of MNIST and its model."""

import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

import vae_augment
from vae_augment.evaluation.classifier import accuracy, train_classifier
from vae_augment.training import load_data

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
RECIPES: dict[str, str] = dict(
    re.findall(r"^## (.+?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.M | re.S)
)

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings(
        "ignore:'set_vital' is deprecated:UserWarning"
    ),  # torchdata calls it
]

BUNDLED = Path(vae_augment.__file__).parent / "models" / "mnist.onnx"
DATA = Path(__file__).parents[3] / "shared" / "data"


class Digits(datasets.VisionDataset):
    """scikit-learn's digits with the interface of datasets.MNIST."""

    def __init__(self, root: str, train: bool = True, transform: Any = None) -> None:
        assert root == "data"
        super().__init__(root, transform=transform)
        data = load_data("digits")
        self.data, self.targets = data.images[:500, 0], data.labels[:500]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.data[index].numpy())
        return (self.transform(image) if self.transform else image), int(self.targets[index])


SMALLER = {
    "alpha=34.0, sigma=4.0": "alpha=10.0, sigma=1.0",  # 8x8 images are too small for it
    "updates=500": "updates=30",
    "epochs=10)": "epochs=1)",
    "epochs=200,": "epochs=4,",
    'FitConfig(network="conv"))': 'FitConfig(network="conv-small", epochs=1))',
}


@pytest.fixture
def recipe(
    request: pytest.FixtureRequest,
    tiny_model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What a recipe's block leaves behind."""
    monkeypatch.setattr(datasets, "MNIST", Digits)
    monkeypatch.chdir(tmp_path)
    code = RECIPES[request.param].replace('"mnist"', repr(str(tiny_model_path)))
    for usual, small in SMALLER.items():
        code = code.replace(usual, small)
    method = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    names: dict[str, Any] = {"__name__": "recipe"}
    try:
        exec(compile(code, request.param, "exec"), names)
        yield names
    finally:
        multiprocessing.set_start_method(method, force=True)


def of(title: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recipe", [title], indirect=True, ids=[title])


def test_every_recipe_has_a_test() -> None:
    tested = {
        mark.args[1][0]
        for name, item in vars(sys.modules[__name__]).items()
        if name.startswith("test_")
        for mark in getattr(item, "pytestmark", [])
        if mark.name == "parametrize" and mark.args[0] == "recipe"
    }
    assert tested == set(RECIPES)
    assert len(RECIPES) == PAGE.count("```python")


@of("Augment in the workers")
def test_augment_in_the_workers(recipe: dict[str, Any]) -> None:
    images: Tensor = recipe["images"]
    assert (images.shape, images.dtype) == ((244, 1, 8, 8), torch.float32)
    assert 0 <= images.min() < images.max() <= 1


@of("Half real and half synthetic")
def test_half_real_and_half_synthetic(recipe: dict[str, Any]) -> None:
    assert len(recipe["mixed"]) == 1_000
    assert (recipe["epoch"], len(recipe["images"]), recipe["labels"].dtype) == (
        1,
        1_000 % 256,
        torch.int64,
    )


@of("A loop with both objects")
def test_a_loop_with_both_objects(recipe: dict[str, Any]) -> None:
    assert len(recipe["mixed"]) == 714  # of which 500 are real
    assert recipe["images"].shape == (714 % 256, 1, 8, 8)
    assert recipe["epoch"] == 1
    assert recipe["loss"].isfinite()


@of("Synthetic images in a pipeline for PIL images")
def test_synthetic_images_in_a_pipeline_for_pil_images(recipe: dict[str, Any]) -> None:
    assert {recipe["mixed"][index][0].shape for index in range(20)} == {(1, 8, 8)}


@of("Without a DataLoader")
def test_without_a_dataloader(recipe: dict[str, Any]) -> None:
    assert recipe["images"].shape == (1_000 % 256, 1, 8, 8)


@of("MixUp and CutMix beside it")
def test_mixup_and_cutmix_beside_it(recipe: dict[str, Any]) -> None:
    assert recipe["images"].shape == (256, 1, 8, 8)
    torch.testing.assert_close(recipe["labels"].sum(1), torch.ones(256))


@of("On the GPU with Lightning")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.* is deprecated:FutureWarning"
)  # lightning's own use of torch
def test_on_the_gpu_with_lightning(recipe: dict[str, Any]) -> None:
    assert recipe["trainer"].global_step == 3
    assert not [name for name in recipe["Classifier"]().state_dict() if name.startswith("augment")]


@of("Topping up a rare class to an exact size")
def test_topping_up_a_rare_class_to_an_exact_size(recipe: dict[str, Any]) -> None:
    topped_up = recipe["topped_up"]
    counts = torch.tensor(
        [label for _, label in topped_up.__getitems__(range(len(topped_up)))]
    ).bincount()
    assert counts.tolist() == [500] * 10
    assert recipe["train"].targets[recipe["rows"]].bincount()[8] == 20
    assert recipe["synthetic"][0][0].max() > 1  # normalised too


COLOUR = "Your own colour images"


@of(COLOUR)
def test_your_own_colour_images(recipe: dict[str, Any]) -> None:
    assert recipe["images"].shape == (20, 3, 32, 32)
    assert recipe["synthetic"].classes == recipe["real"].classes == ["disc", "square", "triangle"]
    assert len(recipe["loader"].dataset) == 600


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_images_generated_from_colour_images_show_their_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(RECIPES[COLOUR], COLOUR, "exec"), names)
    pairs = [names["real"][index] for index in range(300)]
    real, labels = (
        torch.stack([image for image, _ in pairs]),
        torch.tensor([label for _, label in pairs]),
    )
    classifier = train_classifier(real, labels, 3, updates=600)
    generated, wanted = zip(*names["synthetic"].__getitems__(range(300)), strict=True)
    assert accuracy(classifier, torch.stack(generated), torch.tensor(wanted)) >= 90


@of("Real and generated rows as dicts")
def test_real_and_generated_rows_as_dicts(recipe: dict[str, Any]) -> None:
    assert recipe["data"].images.shape == (100, 1, 8, 8)
    batch = recipe["batch"]
    assert (batch["image"].dtype, batch["image"].shape) == (torch.uint8, (50, 1, 8, 8))
    assert batch["label"].shape == (50,)


@of("A few labels and nothing else")
def test_a_few_labels_and_nothing_else(recipe: dict[str, Any]) -> None:
    assert recipe["few"].images.shape[0] == 200
    images, labels = recipe["images"], recipe["labels"]
    assert images.shape == (50, 1, 8, 8)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert len(labels) == 50


@of("A few labels and a pool")
def test_a_few_labels_and_a_pool(recipe: dict[str, Any]) -> None:
    guessed, train = recipe["guessed"], recipe["train"]
    is_guessed = guessed.labels[100:] >= 0
    assert 0.9 < is_guessed.float().mean() < 1
    assert (guessed.labels == train.targets)[100:][is_guessed].float().mean() > 0.15
    images, labels = next(iter(recipe["loader"]))
    assert (images.shape, images.dtype, labels.dtype) == (
        (128, 1, 8, 8),
        torch.float32,
        torch.int64,
    )
    assert len(recipe["loader"].dataset) == 2 * len(recipe["sure"])


@of("Hugging Face datasets")
def test_hugging_face_datasets(recipe: dict[str, Any]) -> None:
    images = torch.stack(list(recipe["batch"]["image"]))
    assert images.shape == (32, 1, 8, 8)
    changed = (
        (images != torch.stack([recipe["to_float"](image) for image in recipe["images"][:32]]))
        .flatten(1)
        .any(1)
    )
    assert 4 < changed.sum() < 28


@of("Going on after an interruption")
def test_going_on_after_an_interruption(recipe: dict[str, Any]) -> None:
    rest = list(recipe["batches"])
    assert len(rest) == 9
    assert all(
        torch.equal(given[0], wanted[0]) for given, wanted in zip(recipe["rest"], rest, strict=True)
    )
    assert recipe["resumed"].dataset.state_dict()["epoch"] == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not (BUNDLED.exists() and DATA.exists()), reason="needs the bundled model and ../shared/data"
)
@pytest.mark.parametrize(
    "title", [title for title in RECIPES if title != COLOUR]
)  # which has a slow test of its own
def test_a_recipe_as_it_stands_on_mnist(title: str, tmp_path: Path) -> None:
    code = RECIPES[title].replace('"data"', repr(str(DATA)))
    fork = "import multiprocessing; multiprocessing.set_start_method('fork')\n"
    process = subprocess.run(
        [sys.executable, "-c", fork + code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not process.returncode, process.stderr
