"""The two kinds of model, and all in which they differ: a third kind would be one more class here.

Nothing outside `vae_augment.model` asks which kind a model is. It asks the kind what it takes,
offers and lacks. Without torch at import, because processes that only generate have none.
"""

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..arguments import one_per_image
from ..errors import InputError, ModelFormatError
from .facts import Facts
from .sampling import MAX_CLASSES, LabelPolicy, parse_labels
from .sources import ImageSource, LatentSource, Source


class Kind(ABC):
    """What models of one kind take, offer and lack."""

    name: ClassVar[str]
    # Files name their kind from format version 3 on. Before, each kind had a version of its own,
    # and a mark in the spec that no other kind has.
    early_version: ClassVar[int]
    early_marks: ClassVar[Mapping[str, object]] = {}
    decoder_inputs: ClassVar[tuple[str, ...]]  # besides the label
    parity_tolerance: ClassVar[float]  # how far the file's images may differ from PyTorch's
    only_modes: ClassVar[tuple[str, ...] | None] = None  # of `VAEAugment`; None = all
    residuals: ClassVar[tuple[bool, ...]]  # values that its `residual` may have, the default first
    samples: ClassVar[bool]  # whether it draws images without being given any

    # A kind has no state, so that a copy or an unpickled one is the same kind.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def check_facts(self, facts: Mapping[str, Any], has_latents: bool) -> None:
        """Raise `ModelFormatError` for a file whose spec does not go with this kind."""

    @abstractmethod
    def check_latents(self) -> None:
        """Raise `InputError` where no distribution of latents can be fitted."""

    @abstractmethod
    def check_likelihood(self, model: str) -> None:
        """Raise `InputError` where the model of that name gives no likelihood."""

    @abstractmethod
    def check_mode(self, model: str, mode: str, residual: bool) -> None:
        """Raise `InputError` for a mode or `residual` of `VAEAugment` that the model lacks."""

    @abstractmethod
    def source(
        self, spec: Facts, model: str, labels: Any, images: Any, classes: Sequence[str]
    ) -> Source:
        """What generation makes images of.

        Args:
            spec: the spec of the model.
            model: its name, for errors.
            labels, images: those of `VAESyntheticDataset`.
            classes: the names of the classes of `images`; empty = their indices.

        Raises:
            InputError: `labels` or `images` do not go with the model.
        """


class Sampling(Kind):
    """Models that draw images from a distribution of latents."""

    name = "sampling"
    early_version = 1
    decoder_inputs = ("latent",)
    parity_tolerance = 1e-5
    residuals = (True, False)
    samples = True

    def check_facts(self, facts: Mapping[str, Any], has_latents: bool) -> None:
        """All that the schema allows goes together."""

    def check_latents(self) -> None:
        """A distribution can be fitted."""

    def check_likelihood(self, model: str) -> None:
        """There is one."""

    def check_mode(self, model: str, mode: str, residual: bool) -> None:
        """All are possible."""

    def source(
        self, spec: Facts, model: str, labels: Any, images: Any, classes: Sequence[str]
    ) -> LatentSource:
        """Latents drawn from the model's distribution."""
        if images is not None:
            raise InputError(
                f"images are given, but {model!r} is not conditioned on an image. Leave them out."
            )
        return LatentSource(
            policy=parse_labels(labels, spec),
            classes=spec.classes,
            has_names=True,
            argument=f"labels={reprlib.repr(labels)}",
        )


class Redrawing(Kind):
    """Models conditioned on an image, which they redraw; they know no classes.

    The encoder gives the prior p(z|x) of other images of the class, and the decoder takes the image
    beside the latent.
    """

    name = "redrawing"
    early_version = 2
    early_marks: ClassVar[Mapping[str, object]] = {"image_conditional": True}
    decoder_inputs = ("latent", "image")
    # Next to an edge, a small difference of place is a larger one of brightness.
    parity_tolerance = 1e-4
    only_modes = ("posterior",)
    residuals = (False,)
    samples = False

    def check_facts(self, facts: Mapping[str, Any], has_latents: bool) -> None:
        """Neither classes nor latents go with it."""
        if facts["classes"]:
            raise ModelFormatError("The model is conditioned on an image, but names classes.")
        if has_latents:
            raise ModelFormatError(
                "The model is conditioned on an image, but has latents, which must be left out."
            )

    def check_latents(self) -> None:
        """There are none to fit: its noise is N(0, I)."""
        raise InputError(
            "A model conditioned on an image has no distribution of latents to fit. Leave the "
            "images out."
        )

    def check_likelihood(self, model: str) -> None:
        """It knows p(x'|x) only, by way of the image x."""
        raise InputError(
            f"{model!r} is conditioned on an image, so it gives no likelihood. Use another model."
        )

    def check_mode(self, model: str, mode: str, residual: bool) -> None:
        """Only noise of the posterior moves a latent that no class and no partner shares."""
        if mode not in self.only_modes:
            raise InputError(
                f"{_redraws(model)} It offers the mode 'posterior' only, but mode is {mode!r}. "
                "Leave mode out."
            )
        if residual not in self.residuals:
            raise InputError(
                f"{_redraws(model)} Its decoder takes the detail from the image, so "
                f"residual={residual} has no meaning. Leave residual out."
            )

    def source(
        self, spec: Facts, model: str, labels: Any, images: Any, classes: Sequence[str]
    ) -> ImageSource:
        """The images to redraw."""
        if images is None:
            raise InputError(
                f"{_redraws(model)} Use VAEAugment, VAESyntheticDataset with images= and labels=, "
                "or `vae-augment generate --images DATA`."
            )
        pixels, indices = _labelled_images(images, labels, spec.image_shape)
        names = tuple(classes) or tuple(str(index) for index in range(int(indices.max()) + 1))
        return ImageSource(
            policy=LabelPolicy(tuple(np.unique(indices).tolist())),  # each class in turn
            classes=names,
            has_names=bool(classes),
            argument=f"images={len(pixels)}",
            images=pixels,
            labels=indices,
        )


SAMPLING = Sampling()
REDRAWING = Redrawing()
KINDS: tuple[Kind, ...] = (SAMPLING, REDRAWING)


def _redraws(model: str) -> str:
    return f"{model!r} is conditioned on an image: it redraws images that it is given."


def _labelled_images(
    images: Any, labels: Any, image_shape: tuple[int, int, int]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images as [N, C, H, W], uint8 or float32 in [0, 1], and their class indices [N].

    `InputError` where they do not fit.
    """
    import torch

    from .pixels import to_batch

    try:
        images = torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"images cannot be read ({error}). Give a tensor [N, C, H, W].") from None
    batch = to_batch(images, image_shape)
    found = one_per_image(labels)
    is_index = found.dtype != object and len(found) == len(batch)
    if not is_index or not len(found) or found.min() < 0:
        raise InputError(
            f"labels of type {found.dtype} and length {len(found)} do not go with {len(batch)} "
            "images; give the class index of each, from 0 up."
        )
    if found.max() >= MAX_CLASSES:
        raise InputError(
            f"labels go up to {found.max()}; the largest class index is {MAX_CLASSES - 1}. Number "
            "them anew."
        )
    kept = images if images.dtype is torch.uint8 else batch
    # A copy, because the caller may fill the same memory with other images.
    return kept.cpu().reshape(batch.shape).numpy().copy(), found
