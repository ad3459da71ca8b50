"""Does the file compute what PyTorch computes?

The whole, its encoder and its decoder, at several batch sizes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import ExportError, ModelFormatError
from ..model.file import ModelFile
from ..model.kinds import SAMPLING
from ..model.vae_model import VAEModel
from .exportable import ExportableVAE
from .graph import AugmentGraph, example_inputs
from .pixel_values import beyond_images

TOLERANCE = SAMPLING.parity_tolerance
BATCHES = (1, 2, 5, 64)


@dataclass(frozen=True)
class ParityReport:
    """How far the file is from PyTorch.

    Attributes:
        differences: the largest absolute difference by output and batch size, as a share of the
            largest number where that is above 1; for a reduced precision, that of the float32 file.
        tolerance: the largest difference that is allowed.
        psnr: for a reduced precision, how alike the two files perturb the same images, in dB.
    """

    differences: dict[str, dict[int, float]]
    tolerance: float = TOLERANCE
    psnr: float | None = None

    @property
    def worst(self) -> float:
        """The largest difference of all."""
        return max(value for row in self.differences.values() for value in row.values())

    def table(self) -> str:
        """The differences as text, one line per output."""
        batches = list(next(iter(self.differences.values())))
        heading = "".join(f"{f'batch {batch}':>12}" for batch in batches)
        lines = [f"{'max |onnxruntime - PyTorch|':<28}{heading}"]
        for name, row in self.differences.items():
            lines.append(f"  {name:<26}" + "".join(f"{row[batch]:>12.1e}" for batch in batches))
        judgement = "ok" if self.worst <= self.tolerance else "TOO LARGE"  # of a NaN too
        lines.append(f"largest {self.worst:.1e}, tolerance {self.tolerance:.0e}: {judgement}")
        if self.psnr is not None:
            lines.append(f"PSNR of perturbed images against fp32: {self.psnr:.1f} dB")
        return "\n".join(lines)


def check_parity(vae: ExportableVAE, file: ModelFile) -> ParityReport:
    """Compare the file with `vae` on random inputs.

    Raises:
        ExportError: a difference above the tolerance, decoded values outside [0, 1], a latent that
            the noise does not change, or a batch size that does not run. The message holds the
            table if there is one.
    """
    model = VAEModel(file, provider="cpu")
    differences: dict[str, dict[int, float]] = {}
    for batch in tqdm(BATCHES, "comparing with PyTorch", unit="batch", delay=2, disable=None):
        try:
            compared = _compare(vae, model, example_inputs(vae, batch, seed=batch))
        except ExportError:
            raise
        except (ModelFormatError, RuntimeError) as error:
            raise ExportError(f"The model does not run on a batch of {batch}: {error}") from error
        for name, (expected, actual) in compared.items():
            differences.setdefault(name, {})[batch] = _difference(expected, actual)
    report = ParityReport(differences, vae.spec.kind.parity_tolerance)
    if not report.worst <= report.tolerance:  # not ">": a NaN must fail
        raise ExportError(
            f"The exported file differs from PyTorch, so it was not kept.\n{report.table()}"
        )
    return report


@torch.inference_mode()
def _compare(
    vae: ExportableVAE, model: VAEModel, inputs: dict[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """By the name of the output, what PyTorch gives and what the file gives."""
    label = inputs.get("label")
    augmented, mean, logvar, latent = AugmentGraph(vae).eval()(**inputs)
    _check_values(augmented, mean, latent)
    cut_mean, cut_logvar = model.encode(inputs["image"], label)
    first = {name: tensor[:1] for name, tensor in inputs.items()}
    return {
        "whole: augmented": (augmented, model.run("whole", inputs)[0]),
        "whole: first image alone": (augmented[:1], model.run("whole", first)[0]),
        "encoder: mean": (mean, cut_mean),
        "encoder: logvar": (logvar, cut_logvar),
        "decoder: image": (augmented, model.decode(latent, label, images=inputs["image"])),
    }


def _check_values(augmented: Tensor, mean: Tensor, latent: Tensor) -> None:
    if not (augmented.min() >= 0 and augmented.max() <= 1):
        raise ExportError(beyond_images(augmented))
    if torch.equal(mean, latent):
        raise ExportError(
            "The latent is the mean itself: noise of strength up to 2 does not change it, so the "
            "file could not augment. A plain autoencoder has no log-variance to export."
        )


def _difference(expected: Tensor, actual: Tensor) -> float:
    if expected.shape != actual.shape:
        raise ExportError(
            f"PyTorch gives the shape {tuple(expected.shape)}, the file {tuple(actual.shape)}."
        )
    size = expected.abs().max().clamp(min=1)  # float32 has as many digits for large numbers
    return ((expected - actual).abs().max() / size).item()
