"""Does the file compute what PyTorch computes? Whole and cut, at several batch sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ExportError
from ..modelfile import ModelFile
from ..runtime import VAEModel
from .graph import AugmentGraph, example_inputs
from .parts import VAEParts

TOLERANCE = 1e-5
BATCHES = (1, 2, 5)


@dataclass(frozen=True)
class ParityReport:
    """The largest absolute difference from PyTorch: `differences[output][batch]`."""

    differences: dict[str, dict[int, float]]
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> float:
        """The largest difference of all."""
        return max(value for row in self.differences.values() for value in row.values())

    def table(self) -> str:
        """The differences as lines of text, one output a row."""
        batches = list(next(iter(self.differences.values())))
        lines = [f"{'max |onnxruntime - PyTorch|':<28}" + "".join(f"{f'batch {batch}':>12}" for batch in batches)]
        for name, row in self.differences.items():
            lines.append(f"  {name:<26}" + "".join(f"{row[batch]:>12.1e}" for batch in batches))
        verdict = "ok" if self.worst <= self.tolerance else "TOO LARGE"
        return "\n".join([*lines, f"largest {self.worst:.1e}, tolerance {self.tolerance:.0e}: {verdict}"])


def check_parity(parts: VAEParts, file: ModelFile, batches: Sequence[int] = BATCHES) -> ParityReport:
    """Compare the file with `parts` on random inputs.

    Raises:
        ExportError: a difference above `TOLERANCE`, or decoded values outside [0, 1]. The message holds the table.
    """
    model = VAEModel(file, provider="cpu")
    rows: dict[str, dict[int, float]] = {}
    for batch in batches:
        for name, (expected, actual) in _compare(parts, model, example_inputs(parts, batch, seed=batch)).items():
            rows.setdefault(name, {})[batch] = _difference(expected, actual)
    report = ParityReport(rows)
    if not report.worst <= report.tolerance:  # not ">": a NaN must fail
        raise ExportError(f"The exported file differs from PyTorch, so it was not kept.\n{report.table()}")
    return report


@torch.inference_mode()
def _compare(parts: VAEParts, model: VAEModel, inputs: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    label = inputs.get("label")
    augmented, mean, logvar, latent = AugmentGraph(parts).eval()(**inputs)
    if not (augmented.min() >= 0 and augmented.max() <= 1):
        raise ExportError(
            f"decode gave values from {augmented.min():.4g} to {augmented.max():.4g}; images must lie in [0, 1]. "
            "If they are logits, end decode with a sigmoid."
        )
    cut_mean, cut_logvar = model.encode(inputs["image"], label)
    return {
        "whole: augmented": (augmented, model.run("whole", inputs)[0]),
        "encoder: mean": (mean, cut_mean),
        "encoder: logvar": (logvar, cut_logvar),
        "decoder: image": (augmented, model.decode(latent, label)),
    }


def _difference(expected: Tensor, actual: Tensor) -> float:
    if expected.shape != actual.shape:
        raise ExportError(f"PyTorch gives the shape {tuple(expected.shape)}, the file {tuple(actual.shape)}.")
    return (expected - actual).abs().max().item()
