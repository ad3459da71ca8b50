"""What works without the packages of the extra [tools], and what says which to install."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT
from vae_augment.errors import MissingPackageError, VAEAugmentError
from vae_augment.packages import require

TOOLS = ("onnxscript", "scipy", "sklearn", "threadpoolctl", "tqdm", "typer")

# Run before anything else in a fresh process, which then finds the tools as little as if they were
# not installed. torch itself looks for some of them, so a finder that raises would break it.
HIDE_TOOLS = f"""
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *arguments):
        is_hidden = name.partition(".")[0] in {TOOLS!r}
        return None if is_hidden else self.finder.find_spec(name, *arguments)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""

TRAINING_SCRIPT = """
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2
from vae_augment import AugmentedDataset, MixedDataset, VAEAugment, VAESyntheticDataset

augment = v2.Compose([v2.ToImage(), VAEAugment("mnist"), v2.ToDtype(torch.float32, scale=True)])

class Images:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.full((1, 28, 28), 16 * index, dtype=torch.uint8)
        return augment(image), index % 10

synthetic = VAESyntheticDataset("mnist", length=8)
for data in (Images(), synthetic, MixedDataset(Images(), synthetic, synthetic_fraction=0.5)):
    loader = DataLoader(data, batch_size=4, num_workers=1)
    for images, labels in loader:
        assert images.shape == (4, 1, 28, 28) and len(labels) == 4
"""


def run_without_tools(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", HIDE_TOOLS + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_training_script_needs_none_of_the_tools() -> None:
    done = run_without_tools(TRAINING_SCRIPT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_are_hidden(tool: str) -> None:
    done = run_without_tools(f"import {tool}")
    assert f"No module named '{tool}'" in done.stderr


@pytest.mark.parametrize(
    ("room", "packages"),
    [
        ("training", "scikit-learn threadpoolctl tqdm"),
        ("evaluation", "scipy scikit-learn tqdm"),
    ],
)
def test_a_room_says_what_to_install(room: str, packages: str) -> None:
    done = run_without_tools(f"import vae_augment.{room}")
    assert done.stderr.splitlines()[-1] == (
        f"vae_augment.errors.MissingPackageError: vae_augment.{room} needs packages that are not "
        f"installed. Install them: pip install {packages}"
    )


def test_the_command_line_says_what_to_install() -> None:
    done = run_without_tools("from vae_augment.__main__ import main; main()")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: vae-augment needs packages that are not installed. Install them: "
        "pip install scipy scikit-learn threadpoolctl tqdm typer\n"
    )


def test_only_what_is_missing_is_named() -> None:
    with pytest.raises(MissingPackageError, match=r"pip install a-package$") as caught:
        require("This", "torch", "a-package", "numpy")
    assert isinstance(caught.value, VAEAugmentError)
    assert isinstance(caught.value, ImportError)


def test_packages_that_are_there_are_not_complained_of() -> None:
    require("This", "torch", *TOOLS)
