"""What models of each kind offer, what generation makes images of, what errors say of them."""

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from vae_augment import VAEAugment, VAEModel, VAESyntheticDataset, load
from vae_augment.errors import InputError
from vae_augment.model.kinds import KINDS, REDRAWING, SAMPLING
from vae_augment.model.spec import part_interface
from vae_augment.transforms.perturbation import MODES

GLYPHS = Path(__file__).parents[1] / "data" / "format-2.onnx"  # tiny, and redraws images


@pytest.fixture
def redrawing() -> VAEModel:
    return load(GLYPHS, provider="cpu")


def test_a_copy_of_a_kind_is_the_kind() -> None:
    for kind in KINDS:
        assert pickle.loads(pickle.dumps(kind)) == kind == copy.deepcopy(kind)
    assert SAMPLING != REDRAWING
    assert len({SAMPLING, REDRAWING, copy.deepcopy(SAMPLING)}) == 2


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "posterior"])
def test_a_model_that_redraws_says_which_mode_it_offers(mode: str, redrawing: VAEModel) -> None:
    with pytest.raises(InputError) as caught:
        VAEAugment(redrawing, mode=mode)
    assert str(caught.value) == (
        "'format-2' is conditioned on an image: it redraws images that it is given. It offers the "
        f"mode 'posterior' only, but mode is {mode!r}. Leave mode out."
    )


def test_the_default_of_residual_is_the_kinds(redrawing: VAEModel, tiny_model: VAEModel) -> None:
    assert VAEAugment(redrawing).residual is False
    assert VAEAugment(tiny_model).residual is True


@pytest.mark.parametrize("labels", ["balanced", "3", {1: 1.0, 2: 3.0}, [5, 6]])
def test_latents_are_what_the_dataset_decodes(tiny_model: VAEModel, labels: object) -> None:
    source = tiny_model.source(labels)
    drawn, inputs = source.draw(tiny_model.spec, np.arange(4, 7), seed=3)
    assert set(inputs) == set(part_interface(source.part, tiny_model.spec)[0])
    data = VAESyntheticDataset(tiny_model, 9, labels=labels, seed=3)  # type: ignore[arg-type]
    images, found = zip(*data.__getitems__([4, 5, 6]), strict=True)
    assert drawn.tolist() == list(found)
    tensors = {name: torch.from_numpy(rows) for name, rows in inputs.items()}
    torch.testing.assert_close(tiny_model.run(source.part, tensors)[0], torch.stack(images))


def test_images_are_what_the_dataset_redraws(redrawing: VAEModel) -> None:
    few = torch.rand(6, 1, 8, 8)
    source = redrawing.source([0, 1, 1, 4, 4, 4], few)
    assert source.policy.choices == (0, 1, 4)
    assert source.classes == ("0", "1", "2", "3", "4")
    drawn, inputs = source.draw(redrawing.spec, np.arange(3), seed=3)
    assert drawn.tolist() == [0, 1, 4]
    assert set(inputs) == set(part_interface(source.part, redrawing.spec)[0])
    for row, label in zip(inputs["image"], drawn, strict=True):
        of_class = few.numpy()[np.array([0, 1, 1, 4, 4, 4]) == label]
        assert (of_class == row).all((1, 2, 3)).any()


def test_generation_knows_both_kinds_without_torch() -> None:
    code = (
        "import sys\nfrom vae_augment.model.file import read_model\nfrom pathlib import Path\n"
        "import numpy as np\nfile = read_model(Path('tests/data/format-1.onnx'))\n"
        "source = file.spec.kind.source(file.spec, 'a', 'balanced', None, ())\n"
        "source.draw(file.spec, np.arange(3), 0)\nprint('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_other_room_asks_for_the_kind() -> None:
    files = [*(ROOT / "vae_augment").rglob("*.py"), *(ROOT / "exporters").rglob("*.py")]
    others = [path for path in files if (ROOT / "vae_augment" / "model") not in path.parents]
    asks = re.compile(r"image_conditional|isinstance\([a-z.]*spec\.kind|spec\.kind (==|!=|is|in)\b")
    assert [path.name for path in others if asks.search(path.read_text())] == []
    assert asks.search("if model.spec.kind is SAMPLING:")
    assert asks.search("isinstance(spec.kind, Redrawing)")
