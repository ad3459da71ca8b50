"""Where the latents of the training images lie, and their form in the file's metadata."""

import base64
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from ..errors import ModelFormatError

LATENTS_KEY = "vae_augment.latents"
# Far beyond any encoder's latents, far below what overflows when mixed and decoded
MAX_LATENT_VALUE = 1e6


@dataclass(frozen=True)
class Latents:
    """Where the latents of the training images lie.

    G groups (one per class, or one), K components, D dimensions. Generation draws from the mixture.
    The bank, usually empty, has the posterior means of N training images, encoded without their
    labels and with them.

    Attributes:
        weights: [G, K], rows sum to 1.
        means: [G, K, D].
        scales: [G, K, D, D], lower Cholesky factors of the covariances.
        bank: [N, D], encoded without the label.
        bank_given_label: [N, D], encoded with it; equals `bank` when the model is not conditional.
        bank_labels: [N], -1 = unknown.
    """

    weights: NDArray[np.float32]
    means: NDArray[np.float32]
    scales: NDArray[np.float32]
    bank: NDArray[np.float32]
    bank_given_label: NDArray[np.float32]
    bank_labels: NDArray[np.int64]

    def without_bank(self) -> "Latents":
        """The same distribution without latents of training images."""
        return without_bank(self.weights, self.means, self.scales)

    def to_text(self) -> str:
        """Base64 of a safetensors buffer, which is read without pickle.

        Of the scales it has the rows of their lower triangles, the rest of which is 0.
        """
        arrays = dict(vars(self))
        scales = arrays.pop("scales")
        arrays["triangles"] = scales[(..., *np.tril_indices(scales.shape[-1]))]
        # safetensors writes the memory as it lies, whatever the strides.
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        return base64.b64encode(safetensors.numpy.save(arrays)).decode("ascii")

    @classmethod
    def from_text(cls, text: str, latent_dim: int, classes: int) -> "Latents":
        """Read what `to_text` wrote; `ModelFormatError` for anything else."""
        try:
            arrays = safetensors.numpy.load(base64.b64decode(text, validate=True))
            if "triangles" in arrays:
                arrays["scales"] = _filled(arrays.pop("triangles"), latent_dim)
            latents = cls(**arrays)
        # KeyError is safetensors' for a type that NumPy does not have.
        except (ValueError, TypeError, KeyError, safetensors.SafetensorError) as error:
            raise ModelFormatError(
                f"The metadata {LATENTS_KEY} cannot be read: {str(error)[:200]!r}."
            ) from None
        latents._check(latent_dim, max(1, classes))
        return latents

    def _check(self, dim: int, groups: int) -> None:
        components = self.weights.shape[1] if self.weights.ndim == 2 else -1
        bank = len(np.atleast_1d(self.bank))
        expected = {
            "weights": (groups, components),
            "means": (groups, components, dim),
            "scales": (groups, components, dim, dim),
            "bank": (bank, dim),
            "bank_given_label": (bank, dim),
            "bank_labels": (bank,),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            dtype = np.dtype(np.int64 if name == "bank_labels" else np.float32)
            if (array.dtype, array.shape) != (dtype, shape):
                raise ModelFormatError(
                    f"{LATENTS_KEY}: {name} is {array.dtype} of shape {array.shape}, expected "
                    f"{dtype} of shape {shape}."
                )
            if not np.isfinite(array).all():
                raise ModelFormatError(f"{LATENTS_KEY}: {name} has values that are not finite.")
            if array.size and max(-array.min(), array.max()) > MAX_LATENT_VALUE:
                raise ModelFormatError(
                    f"{LATENTS_KEY}: {name} has values beyond {MAX_LATENT_VALUE:.0e}."
                )
        if (self.weights < 0).any() or not np.allclose(self.weights.sum(1), 1, atol=1e-4):
            raise ModelFormatError(f"{LATENTS_KEY}: the mixture weights are not probabilities.")
        if bank and not (self.bank_labels.min() >= -1 and self.bank_labels.max() < groups):
            raise ModelFormatError(f"{LATENTS_KEY}: bank_labels are outside -1..{groups - 1}.")


def _filled(triangles: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Rows of lower triangles, [G, K, D (D + 1) / 2], as matrices [G, K, D, D]."""
    size = dim * (dim + 1) // 2
    if triangles.ndim != 3 or triangles.shape[-1] != size:
        raise ModelFormatError(
            f"{LATENTS_KEY}: triangles is {triangles.dtype} of shape {triangles.shape}, expected "
            f"float32 of shape [G, K, {size}]."
        )
    scales = np.zeros((*triangles.shape[:-1], dim, dim), triangles.dtype)
    scales[(..., *np.tril_indices(dim))] = triangles
    return scales


def without_bank(
    weights: NDArray[np.float32], means: NDArray[np.float32], scales: NDArray[np.float32]
) -> Latents:
    """A distribution that carries no latent of a training image."""
    empty = np.zeros((0, means.shape[2]), np.float32)
    return Latents(weights, means, scales, empty, empty, np.zeros(0, np.int64))
