"""What the numbers mean that a VAE from elsewhere takes and gives, and whether that can be true."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ExportError, InputError

DECODER_OUTPUTS = ("image", "logits", "probabilities")
ImageRange = tuple[float | Sequence[float], float | Sequence[float]]

# Decoders of pixels that end in a linear layer leave the range by a little, here and there. As
# logits, values this close to [0, 1] would be images of one grey.
_NEAR = 0.15  # of the range's width, at either end
_FEW = 0.1  # share of the values that may lie farther outside
_ROUNDING = 1e-5  # by which a sigmoid or a tanh may leave its range


@dataclass(frozen=True)
class PixelValues:
    """How images in [0, 1] become what a module takes, and what it gives becomes such images.

    Attributes:
        decoder_output: what `decode` gives: "image" for values in `image_range`, "logits" for
            values before a sigmoid, "probabilities" for values in [0, 1] in spite of `image_range`.
        image_range: the values (low, high) of black and white in the images that the module was
            trained on; each a number or one per channel. What `decode` gives beyond them is cut
            off. None stands for (0, 1), which `decode` keeps to by itself.
    """

    decoder_output: str = "image"
    image_range: ImageRange | None = None

    def __post_init__(self) -> None:
        if self.decoder_output not in DECODER_OUTPUTS:
            raise InputError(
                f"decoder_output is {self.decoder_output!r}; choose from "
                f"{', '.join(DECODER_OUTPUTS)}."
            )
        if self.image_range is not None and not self._is_range():
            raise InputError(
                f"image_range is {self.image_range!r}; give (low, high), such as (-1, 1), where "
                "each is a number or one number per channel, and low is less than high."
            )

    def _is_range(self) -> bool:
        try:
            low, high = self._ends()
        except (TypeError, ValueError):
            return False
        counts = {len(low), len(high)} - {1}
        if 0 in counts or len(counts) > 1 or not all(map(math.isfinite, (*low, *high))):
            return False
        return bool((self.width > 0).all())

    def _ends(self) -> tuple[list[float], list[float]]:
        if self.image_range is None:
            return [0.0], [1.0]
        low, high = self.image_range
        return _numbers(low), _numbers(high)

    @property
    def low(self) -> Tensor:
        """The value of black: [C or 1, 1, 1]."""
        return torch.tensor(self._ends()[0])[:, None, None]

    @property
    def width(self) -> Tensor:
        """White less black: [C or 1, 1, 1]."""
        return torch.tensor(self._ends()[1])[:, None, None] - self.low

    @property
    def options(self) -> str:
        """The arguments of `export`, as they are written in Python."""
        output = f"decoder_output={self.decoder_output!r}"
        given = [output] if self.decoder_output != "image" else []
        if self.image_range is not None:
            ends = [_written(numbers) for numbers in self._ends()]
            given.append(f"image_range=({', '.join(ends)})")
        return ", ".join(given) or "neither option"

    @property
    def scales_images(self) -> bool:
        """Whether the module's images are others than those in [0, 1]."""
        return self.image_range is not None and self._ends() != ([0.0], [1.0])

    @property
    def cuts_off(self) -> bool:
        """Whether values of the decoder beyond the range become black or white."""
        return self.decoder_output == "image" and self.image_range is not None

    def check_channels(self, channels: int) -> None:
        """Raise `InputError` if there are numbers for another count of channels."""
        given = max(map(len, self._ends()))
        if given not in (1, channels):
            raise InputError(
                f"image_range has numbers for {given} channels; the images have {channels}. Give "
                "one number for all, or one per channel."
            )

    def to_module(self, image: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> what the module takes."""
        return image * self.width + self.low if self.scales_images else image

    def from_module(self, pixels: Tensor) -> Tensor:
        """What the module gives, [B, C, H, W] -> images in [0, 1]."""
        if self.decoder_output == "logits":
            return pixels.sigmoid()
        if not self.cuts_off:
            return pixels
        images = (pixels - self.low) / self.width if self.scales_images else pixels
        return images.clamp(0, 1)

    def check_decoded(self, usual: Tensor, far: Tensor) -> None:
        """Raise `ExportError` if a decoder with these values cannot be what the options say.

        Args:
            usual: what it gives for latents as they occur, [B, C, H, W].
            far: what it gives for latents far from 0, by which a last sigmoid or tanh is told.
        """
        everything = torch.cat([usual.flatten(), far[far.isfinite()]])
        lowest = everything.min()
        highest = everything.max()
        is_sigmoid = bool(lowest >= -_ROUNDING and highest <= 1 + _ROUNDING)
        is_tanh = bool(lowest >= -1 - _ROUNDING and highest <= 1 + _ROUNDING) and not is_sigmoid
        if self.decoder_output == "logits":
            self._check_logits(is_sigmoid, is_tanh)
        elif self.cuts_off:
            self._check_range(usual, is_sigmoid)
        elif self.decoder_output == "probabilities" and not is_sigmoid:
            raise ExportError(
                f"decoder_output is 'probabilities', but decode gave values from {usual.min():.4g} "
                f"to {usual.max():.4g}. Leave it out if they are pixels in image_range; for "
                "logits, pass decoder_output='logits' (--decoder-output logits)."
            )
        elif usual.min() < 0 or usual.max() > 1:
            raise ExportError(beyond_images(usual, is_tanh))

    def _check_logits(self, is_sigmoid: bool, is_tanh: bool) -> None:
        if is_sigmoid and self.scales_images:
            raise ExportError(
                "decoder_output is 'logits', but the decoder's values all lie in [0, 1], so they "
                "are not logits. Pass decoder_output='probabilities' (--decoder-output "
                "probabilities)."
            )
        if is_sigmoid:
            raise ExportError(
                "decoder_output is 'logits', but the decoder's values all lie in [0, 1], so they "
                "are not logits. Leave decoder_output (--decoder-output) out."
            )
        if is_tanh:
            raise ExportError(
                "decoder_output is 'logits', but the decoder's values all lie in [-1, 1], as a "
                "last tanh gives them, so they are not logits. Leave it out, and pass "
                "image_range=(-1, 1) (--image-range -1,1)."
            )

    def _check_range(self, usual: Tensor, is_sigmoid: bool) -> None:
        if is_sigmoid and self.scales_images:
            raise ExportError(
                "decode gives values in [0, 1] only, as a last sigmoid does, and not in the image "
                f"range {self.image_range}. If only encode takes that range, pass "
                "decoder_output='probabilities' (--decoder-output probabilities) too."
            )
        images = (usual - self.low) / self.width
        share = _share_outside(images)
        if share > _FEW:
            raise ExportError(
                f"decode gave values from {usual.min():.4g} to {usual.max():.4g}; {share:.0%} lie "
                f"far outside image_range={self.image_range} and would be cut off. Pass the range "
                "of the training images, or decoder_output='logits' if these are logits."
            )


def beyond_images(pixels: Tensor, is_tanh: bool = False) -> str:
    """What to say of a decoder whose values leave [0, 1] although no option says so."""
    found = f"decode gave values from {pixels.min():.4g} to {pixels.max():.4g}"
    if is_tanh:
        return (
            f"{found}, all in [-1, 1], as a last tanh gives them; images must lie in [0, 1]. If "
            "the module was trained on images in [-1, 1], pass image_range=(-1, 1) (--image-range "
            "-1,1)."
        )
    if _share_outside(pixels) <= _FEW:
        return (
            f"{found}, most of them in [0, 1] or close to it; images must lie in [0, 1]. Pass "
            "image_range=(0, 1) (--image-range 0,1), which cuts off what lies beyond."
        )
    return (
        f"{found}; images must lie in [0, 1]. If they are logits, pass decoder_output='logits' "
        "(--decoder-output logits). If they are pixels, pass image_range=(low, high), the range of "
        "the training images: (-1, 1), or ((0 - mean) / std, (1 - mean) / std) after v2.Normalize."
    )


def usual_readings(images: Tensor) -> list[PixelValues]:
    """The usual ways to train a VAE on images [N, C, H, W] in [0, 1]."""
    mean = images.mean().item()
    std = max(images.std().item(), 0.01)
    standardised = round(-mean / std, 2), round((1 - mean) / std, 2)
    readings = [PixelValues("image", (0, 1)), PixelValues("logits")]
    for image_range in ((-1, 1), standardised):
        readings += [PixelValues(output, image_range) for output in DECODER_OUTPUTS]
    return readings


def _share_outside(images: Tensor) -> float:
    return ((images < -_NEAR) | (images > 1 + _NEAR)).float().mean().item()


def _numbers(value: float | Sequence[float]) -> list[float]:
    if isinstance(value, str):
        raise TypeError(value)
    return [float(number) for number in value] if isinstance(value, Sequence) else [float(value)]


def _written(numbers: list[float]) -> str:
    each = [f"{number:g}" for number in numbers]
    return each[0] if len(each) == 1 else f"({', '.join(each)})"
