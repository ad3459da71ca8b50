"""The facts that every model states, whatever its kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .latents import Latents

# Images in [0, 1] times this, rounded down, are uint8: as torchvision's to_dtype(scale=True)
UINT8_SCALE = 255.999


@dataclass(frozen=True)
class Facts:
    """What a model is. Images are float32 in [0, 1] of `image_shape` = (channels, height, width).

    A model may have `classes` without being `conditional`: its latents are then grouped by class,
    but neither the encoder nor the decoder takes a label.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    classes: tuple[str, ...] = ()
    conditional: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    exporter: str = ""
    latents: Latents | None = field(default=None, repr=False, compare=False)

    @property
    def generates_classes(self) -> bool:
        """Whether samples of a given class can be drawn."""
        return bool(self.classes) and (self.conditional or self.latents is not None)
