"""The arguments of `VAESyntheticDataset` that make its items like real ones, for error messages.

Tests follow what stands between backticks to the letter.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_LAST_AXIS = (1, 3, 4)  # channels of an array [H, W, C]
_PIL_MODES = ("L", "RGB")


def is_image(value: Any) -> bool:
    """Whether a part of an item is an image rather than a label."""
    return isinstance(value, Image.Image) or np.ndim(value) >= 2


def to_form(parts: dict[str, Any]) -> str:
    """What gives synthetic items the form of real ones, whose `parts` are named by their place."""
    keys = [place.removeprefix("item[").removesuffix("]") for place in parts]
    if len(keys) != 2 or not all(key.startswith("'") for key in keys):
        return (
            "VAESyntheticDataset gives pairs (image, label), or dicts of the two with keys=: give "
            "real items of that form."
        )
    image, label = sorted(keys, key=lambda key: not is_image(parts[f"item[{key}]"]))
    return f"Give VAESyntheticDataset `keys=({image}, {label})`."


def to_range(kind: str) -> str:
    """What gives synthetic images the range of real ones, which are of this kind of range."""
    if kind.startswith("not scaled"):
        return "Give VAESyntheticDataset `transform=lambda image: image * 255`."
    if kind.startswith("in [0, 1]"):
        return "Give VAESyntheticDataset `transform=None`."
    return (
        "Give VAESyntheticDataset as transform= what the images of real pass through, such as "
        "v2.Normalize."
    )


def to_image(real: Any, synthetic: Any) -> str:
    """What gives synthetic images the type, size and channels of the real one."""
    output, last_step = _of_type(real)
    steps = [*_resizing(_shape(real), _shape(synthetic)), *last_step]
    transform = steps[0] if len(steps) == 1 else f"v2.Compose([{', '.join(steps)}])"
    arguments = f"output={output!r}" + (f", transform={transform}" if steps else "")
    return f"Give VAESyntheticDataset `{arguments}`, and what else the images of real pass through."


def _of_type(real: Any) -> tuple[str, list[str]]:
    """The `output`, and the step after it if there is one, that give images of this type."""
    if isinstance(real, Image.Image):
        way = f"v2.Lambda(lambda image: image.convert({real.mode!r}))"
        return "pil", [] if real.mode in _PIL_MODES else [way]
    if isinstance(real, np.ndarray):
        output = "uint8" if real.dtype == np.uint8 else "float"
        is_ours = real.dtype in (np.uint8, np.float32)
        way = "image.numpy()" + ("" if is_ours else f".astype(np.{real.dtype})")
        way += "[0]" if real.ndim == 2 else ".transpose(1, 2, 0)" * _has_channels_last(real)
        return output, [f"v2.Lambda(lambda image: {way})"]
    steps = [] if real.ndim > 2 else ["v2.Lambda(lambda image: image[0])"]
    if real.dtype is torch.uint8:
        return "uint8", steps
    if real.dtype is not torch.float32:
        steps.append(f"v2.ToDtype({real.dtype})")
    return "float", steps


def to_label(real: Any) -> str:
    """What gives synthetic labels the type of the real one."""
    count = real.numel() if isinstance(real, Tensor) else np.size(real)
    if count > 1:
        return (
            "Each item of real has several labels: give real a target_transform= that chooses one."
        )
    return f"Give VAESyntheticDataset `target_transform={_function(real)}`."


class _Shape(NamedTuple):
    channels: int
    size: tuple[int, int]


def _shape(image: Any) -> _Shape:
    if isinstance(image, Image.Image):
        return _Shape(1 if image.mode == "L" else 3, (image.height, image.width))
    if image.ndim == 2:
        return _Shape(1, tuple(image.shape))
    if isinstance(image, np.ndarray) and _has_channels_last(image):
        return _Shape(image.shape[-1], tuple(image.shape[:2]))
    return _Shape(image.shape[-3], tuple(image.shape[-2:]))


def _has_channels_last(image: Any) -> bool:
    return image.ndim == 3 and image.shape[-1] in _LAST_AXIS and image.shape[0] not in _LAST_AXIS


def _resizing(real: _Shape, synthetic: _Shape) -> list[str]:
    steps = []
    if real.size != synthetic.size:
        steps.append(f"v2.Resize({real.size})")
    if real.channels != synthetic.channels:
        steps.append(f"v2.Grayscale({real.channels})")
    return steps


def _function(real: Any) -> str:
    """A function from an int to a label of the type of the real one."""
    if isinstance(real, Tensor):
        if real.dtype is torch.int64 and not real.ndim:
            return "torch.as_tensor"
        return f"lambda label: torch.tensor({_nested(real)}, dtype={real.dtype})"
    if isinstance(real, np.ndarray):
        return f"lambda label: np.array({_nested(real)}, np.{real.dtype})"
    if isinstance(real, str):
        return "synthetic.classes.__getitem__"
    return f"np.{real.dtype}" if isinstance(real, np.generic) else type(real).__name__


def _nested(real: Any) -> str:
    return "[" * real.ndim + "label" + "]" * real.ndim
