"""`VAEAugment`: a torchvision v2 transform that redraws or perturbs images by a VAE."""

import copy
import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..arguments import number
from ..errors import InputError
from ..model import advice
from ..model.labels import class_indices
from ..model.pixels import from_batch, from_pil, to_batch, to_pil
from ..model.sessions import Provider
from ..model.strength import LARGEST_UNIT
from ..model.vae_model import VAEModel, as_model, load
from ..noise import Stream, normals, uniforms
from .perturbation import Perturbation
from .pixels import put

LabelsGetter = Callable[[Any], Any]
MAX_STRENGTH = 1e6  # far beyond any use, far below what overflows in float32
_LABEL_NAMES = ("labels", "label", "targets", "target")
_PICTURES = (tv_tensors.Image, tv_tensors.Video)


class VAEAugment(v2.Transform):
    """Redraw images as others of their class, or perturb them in the latent space of a VAE.

    To train a classifier, use a model that redraws: "glyphs" for handwriting, or one of your own
    images by `vae-augment fit --redraw`. A VAE of the other kind, such as "mnist", moves an image
    by the noise of its posterior. That is where this image may have come from, not another image
    of its class: use it for several views of an image, for consistency and for denoising.

    Takes PIL images of mode L or RGB, and tensors [..., C, H, W], uint8 in 0..255 or floating in
    [0, 1], of the model's channels and size; returns the same type, dtype, shape and device. Each
    image of a batch is chosen with probability `p` and gets noise of its own, all from torch's
    global generator; the frames of a clip, `tv_tensors.Video` [..., T, C, H, W], share both. Masks,
    boxes and keypoints are not changed: the shapes move by a pixel at most. Place it before
    `v2.Normalize`, and in the training pipeline only: as with torchvision's transforms, `.eval()`
    and `.to()` change nothing; `provider` chooses the device. To replay a perturbation, call
    `make_params` once and `transform` as often as needed.

    >>> to_float = v2.ToDtype(torch.float32, scale=True)
    >>> transform = v2.Compose([v2.ToImage(), VAEAugment("glyphs", p=0.5), to_float])

    Args:
        model: a bundled name, the path of an .onnx file, or a `VAEModel`.
        mode: how the latent moves. "posterior": by noise of the posterior (Kingma and Welling,
            2014). "interpolation" and "extrapolation": towards or away from another image of the
            class (DeVries and Taylor, "Dataset augmentation in feature space", 2017). With labels
            for a batch, the partner comes from the batch (an image alone in its class stays as it
            is), else it is one of the 10 nearest samples of the file's distribution of latents.
            "prior": towards a new sample of the image's class, which `labels_getter` must give.
        strength: how far the latent moves, at least 0. On every file that states its unit, 1
            changes the pixels of an image by 0.022 of the range on average, compared with what
            strength 0 gives; in "prior" mode, 1 is the sample.
        p: probability of each image to be perturbed, in [0, 1].
        residual: True returns `image + decode(moved) - decode(mean)`, clipped to the range: this
            keeps the detail that a VAE blurs, and strength 0 is the identity. It decodes twice, in
            one run. False returns `decode(moved)` alone, which lowered a classifier's accuracy on
            every set of images that was tried. None = True, but False for a model conditioned on
            an image, such as "glyphs", whose decoder takes the detail from the image.
        labels_getter: None (no labels), "default" (as for torchvision's MixUp: the second of a
            pair, or the entry named "labels" of a dict), or a function from the inputs to the
            labels. Labels are one per image: class indices, whole floats or names of the model's
            classes, as numbers, lists, arrays or tensors [B] or [B, 1]; -1 or None = unknown.
        unit: how many spreads of the posterior strength 1 is, above 0. None = as the file states
            it; a file that states none counts in spreads, as 1 does. In "prior" mode it has no
            meaning.
        provider: as for `load`.

    Raises:
        InputError: a value out of range, or a mode that needs labels, classes or a distribution of
            latents that are missing; later, a call without an image or with one of another shape,
            type or range. Errors about the model are those of `load`.
    """

    _labels: Tensor | None = None  # of one call; set only on a copy made for that call
    unit: float = 1.0  # of transforms that were pickled before there were units

    def __init__(
        self,
        model: str | os.PathLike[str] | VAEModel,
        *,
        mode: str = "posterior",
        strength: float = 1.0,
        p: float = 0.5,
        residual: bool | None = None,
        labels_getter: LabelsGetter | str | None = None,
        unit: float | None = None,
        provider: Provider = "auto",
    ) -> None:
        super().__init__()
        _check_arguments(number("p", p), number("strength", strength), labels_getter)
        self.model = as_model(model, provider)
        stated = self.model.spec.strength_unit
        self.unit = _checked_unit(unit) if unit is not None else stated or 1.0
        if residual is None:
            residual = self.model.spec.kind.residuals[0]
        if residual and strength == 0:
            warnings.warn(
                "VAEAugment with residual=True and strength=0 changes nothing.", stacklevel=2
            )
        self.mode = mode
        self.strength = float(strength)
        self.p = float(p)
        self.residual = residual
        self.labels_getter = labels_getter
        self._made = self._make_perturbation()

    def forward(self, *inputs: Any) -> Any:
        """torchvision's own forward.

        With a `labels_getter`, the labels of this call are added to the params.
        """
        # torchvision does not pass labels to the methods below; its own MixUp overrides forward for
        # that reason too.
        if self.labels_getter is None:
            return super().forward(*inputs)
        return self._forward_with_labels(*inputs)

    @torch.compiler.disable
    def _forward_with_labels(self, *inputs: Any) -> Any:
        getter = self.labels_getter if callable(self.labels_getter) else default_labels
        labels = getter(inputs if len(inputs) > 1 else inputs[0])
        return super(VAEAugment, self.with_labels(labels)).forward(*inputs)

    def with_labels(self, labels: object) -> "VAEAugment":
        """A copy for one call with these labels, one per image, as numbers or names.

        Being a copy, it does not disturb calls in other threads.
        """
        bound = copy.copy(self)
        bound._labels = class_indices(labels, self.model.spec.classes)
        return bound

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise `InputError` when there is no image among the inputs.

        torchvision would return them unchanged.
        """
        # PIL images have no ndim.
        dims = [getattr(item, "ndim", 3) for item in flat_inputs if is_image(item)]
        is_array = any(isinstance(item, np.ndarray) for item in flat_inputs)
        # A tensor of less than two dimensions is a label: next to an array, the array must have
        # been the image.
        if not dims or (is_array and max(dims) < 2):
            fact = "VAEAugment found no image among its inputs"
            raise InputError(advice.on_no_image(fact, flat_inputs))

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw all random numbers, one row per image or clip of the largest input.

        "apply" are booleans; a call with a `labels_getter` adds "labels", which must be added when
        called by hand.
        """
        count = max([_count(item) for item in flat_inputs if is_image(item)], default=0)
        # On the CPU whatever the default device is, so that the same seed gives the same images
        # everywhere.
        coins = torch.rand(count, device="cpu", dtype=torch.float32)
        apply = torch.from_numpy(coins.numpy() < self.p)
        return {"apply": apply, **self._perturbation.draw(count), **self._label_params()}

    def seeded_params(self, seed: int, epoch: int, index: NDArray[np.int64]) -> dict[str, Any]:
        """As `make_params`, but row r depends on (seed, epoch, index[r]) alone.

        See `AugmentedDataset`.
        """
        coins = uniforms(seed, Stream.AUGMENT, epoch, index, 2)
        noise = normals(seed, Stream.AUGMENT_NOISE, epoch, index, self.model.spec.latent_dim)
        drawn = {
            "apply": coins[:, 0] < self.p,
            "choice": coins[:, 1],
            "noise": noise.astype(np.float32),
        }
        params = {name: torch.from_numpy(rows) for name, rows in drawn.items()}
        return params | self._label_params()

    def _label_params(self) -> dict[str, Tensor]:
        return {} if self._labels is None else {"labels": self._labels}

    @torch.compiler.disable
    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Apply the given params to an image; return anything else as it is."""
        if not is_image(inpt):
            return inpt
        image_shape = self.model.spec.image_shape
        is_pil = isinstance(inpt, PIL.Image.Image)
        image = from_pil(inpt, image_shape) if is_pil else _plain(inpt)
        # Also when none is chosen: a wrong image or label must fail every time.
        batch = to_batch(image, image_shape)
        frames = _frames(inpt)
        rows = self._rows(params, len(batch) // max(1, frames), frames)
        if not any(rows["apply"].tolist()):
            return inpt
        output = self._augmented(image, batch, rows, frames)
        if is_pil:
            return to_pil(output)
        is_wrapped = isinstance(inpt, tv_tensors.TVTensor)
        return tv_tensors.wrap(output, like=inpt) if is_wrapped else output

    # torchvision before 0.21 calls the three methods above by these names.

    def _check_inputs(self, flat_inputs: list[Any]) -> None:
        self.check_inputs(flat_inputs)

    def _get_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return self.make_params(flat_inputs)

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.transform(inpt, params)

    def extra_repr(self) -> str:
        """The arguments, and the provider that is used."""
        getter = ""
        if self.labels_getter is not None:
            getter = f", labels_getter={_name(self.labels_getter)}"
        return (
            f"{self.model.name!r}, mode={self.mode!r}, strength={self.strength}, p={self.p}, "
            f"residual={self.residual}{getter}{self._unit_in_words()}, "
            f"provider={self.model.device_type!r}"
        )

    def _unit_in_words(self) -> str:
        """The unit, where it is not that of the file."""
        stated = self.model.spec.strength_unit
        if self.unit == stated:
            return ""
        return f", unit={self.unit:g}" + (" (the file states none)" if stated is None else "")

    def to_dict(self) -> dict[str, Any]:
        """The arguments as JSON-ready values, with the model's sha256, for `from_dict`."""
        if callable(self.labels_getter):
            raise InputError(
                "A transform whose labels_getter is a function cannot be written as JSON."
            )
        names = ("mode", "strength", "p", "residual", "labels_getter", "unit")
        return {name: getattr(self, name) for name in names} | {"model": self.model.arguments()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "VAEAugment":
        """The transform that `to_dict` described.

        `UnsafeModelError` when the model file has changed since.
        """
        # A description from before there were units counts in spreads of the posterior.
        return cls(**({"unit": 1.0} | dict(values) | {"model": load(**values["model"])}))

    def _make_perturbation(self) -> Perturbation:
        made = Perturbation(self.model, self.mode, self.residual)
        made.check(has_labels=self.labels_getter is not None)
        return made

    @property
    def _perturbation(self) -> Perturbation:
        # A schedule may change attributes between epochs.
        if (self._made.mode, self._made.residual) != (self.mode, self.residual):
            self._made = self._make_perturbation()
        return self._made

    def _rows(self, params: dict[str, Any], count: int, frames: int) -> dict[str, Tensor]:
        """The params of the first `count` images or clips, one row per frame.

        An input may have fewer images than another.
        """
        given = len(params["apply"])
        if count > given:
            raise InputError(
                f"There are params for {given} images, but {count} images. Where the images of an "
                "item are the frames of a clip, wrap them: `tv_tensors.Video(image)`."
            )
        if "labels" in params:
            labels = self._perturbation.checked_labels(params["labels"], given)
            params = params | {"labels": labels}
        if given != count:
            params = {name: value[:count] for name, value in params.items()}
        if frames == 1:
            return params
        return {name: value.repeat_interleave(frames, 0) for name, value in params.items()}

    def _augmented(
        self, image: Tensor, batch: Tensor, rows: dict[str, Tensor], frames: int
    ) -> Tensor:
        unit = 1.0 if self.mode == "prior" else self.unit
        perturbed = self._perturbation(batch, rows, self.strength * unit, frames)
        moved = from_batch(perturbed, image.dtype)
        if moved.shape[0] == batch.shape[0]:
            return moved.reshape(image.shape)
        return put(image.reshape(batch.shape), rows["apply"], moved).reshape(image.shape)


def _check_arguments(p: float, strength: float, labels_getter: object) -> None:
    if not 0.0 <= p <= 1.0:
        raise InputError(
            f"`p` should be a floating point value in the interval [0.0, 1.0], but got {p}."
        )
    if not 0.0 <= strength <= MAX_STRENGTH:
        raise InputError(
            f"`strength` should be a finite value of at least 0 and at most {MAX_STRENGTH:,.0f}, "
            f"but got {strength}."
        )
    if not (labels_getter in (None, "default") or callable(labels_getter)):
        raise InputError(
            f"`labels_getter` should be None, 'default' or a function, but got {labels_getter!r}."
        )


def _checked_unit(unit: float) -> float:
    found = number("unit", unit)
    if not 0 < found <= LARGEST_UNIT:
        raise InputError(
            f"`unit` should be a value above 0 and at most {LARGEST_UNIT:,.0f}, but got {found}."
        )
    return found


def default_labels(inputs: Any) -> Any:
    """The labels where torchvision's MixUp looks for them.

    The second of a pair, or the entry "labels" of a dict.
    """
    is_tuple = isinstance(inputs, tuple | list) and len(inputs) > 1
    found = inputs[1] if is_tuple else inputs
    if isinstance(found, Mapping):
        named = {str(key).lower(): value for key, value in found.items()}
        found = next((named[name] for name in _LABEL_NAMES if name in named), inputs)
    if found is inputs:
        raise InputError(
            "VAEAugment found no labels in its inputs. Give (images, labels), a dict with "
            "'labels', or a labels_getter function that returns them."
        )
    return found


def is_image(item: Any) -> bool:
    """Whether a transform changes this input.

    A PIL image or a tensor, but not a mask, boxes or keypoints.
    """
    if isinstance(item, tv_tensors.TVTensor):
        return isinstance(item, _PICTURES)
    return isinstance(item, PIL.Image.Image | Tensor)


def _plain(image: Tensor) -> Tensor:
    """The same image as a `Tensor`, where it is of a subclass."""
    return image if type(image) is Tensor else image.as_subclass(Tensor)


def _frames(image: Any) -> int:
    """How many images in a row share their params: the frames of a clip."""
    return image.shape[-4] if isinstance(image, tv_tensors.Video) else 1


def _count(image: Any) -> int:
    """How many images, or clips, have params of their own."""
    if isinstance(image, PIL.Image.Image):
        return 1
    return math.prod(image.shape[: -4 if isinstance(image, tv_tensors.Video) else -3])


def _name(getter: LabelsGetter | str) -> str:
    if isinstance(getter, str):
        return repr(getter)
    return getattr(getter, "__name__", type(getter).__name__)
