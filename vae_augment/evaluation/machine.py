"""What a measurement ran on, so that a result file says it."""

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import torch

from .._version import __version__
from ..sessions import runtime_version

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn")


def machine(device: str = "cpu", also: Sequence[str] = ()) -> dict[str, Any]:
    """The processor, its threads and the versions, as JSON-ready values; for "cuda" the GPU's name too.

    The versions of the packages in `also` are added where they are installed.
    """
    installed = {distribution.name for distribution in metadata.distributions()}
    capabilities = torch.cpu.get_capabilities()
    facts = {
        "cpu": capabilities.get("cpu_name", platform.processor()),
        "cores": capabilities.get("num_physical_cores"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in (*PACKAGES, *sorted(installed.intersection(also)))}
        | {"onnxruntime": runtime_version(), "vae-augment": __version__},
    }
    return facts | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
