"""The fenced blocks of the README and the pages, and what stands in place of downloads in them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from tests.helpers import ROOT

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page of the repository, in one of these languages."""
    text = (ROOT / page).read_text()
    return [block for language, block in FENCE.findall(text) if language in languages]


def commands(page: str) -> list[list[str]]:
    """The arguments of each `vae-augment ...` on a page, without the name itself."""
    text = "".join(blocks(page, "bash", "console"))
    lines = text.replace("\\\n", " ").replace("&&", "\n").splitlines()
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        if "vae-augment" in words:
            found.append(words[words.index("vae-augment") + 1 :])
    return found


class FewImages:
    """Grey images in the place of torchvision's MNIST."""

    def __init__(
        self,
        root: str,
        train: bool = True,
        transform: Callable[[Image.Image], Any] | None = None,
        download: bool = False,
    ) -> None:
        self.root = Path(root)
        self.transform = transform
        self.targets = torch.arange(300) % 10
        self.data = torch.zeros(300, 28, 28, dtype=torch.uint8)
        self.data[:, 7:21, 7:21] = 128

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.data[index].numpy())
        return (self.transform(image) if self.transform else image), index % 10
