"""What would help where a classifier learns little from a model's samples, by what is measured."""

import torch
from torch import Tensor

from ..training import ImageData
from ..training.data.image_data import to_float
from ..training.data.reducing import images_at_once
from .sample_bench import SampleBench

LARGER_ERROR = 1.2  # of unseen images, over that of training images: these are learned by heart
FEW_PER_CLASS = 100  # images
HIGH_BETA = 0.3


def advise(bench: SampleBench, samples: float, real: float, seed: int) -> str:
    """What would help, by where the accuracy is lost: in decoding, or in drawing latents."""
    decoded = bench.accuracy(bench.reconstructions(), seed)
    by_decoding = real - decoded
    by_drawing = decoded - samples
    if by_decoding >= by_drawing:
        error = _larger_error(bench)
        return (
            f"reconstructions of the training images teach {decoded:.1f} %, so the decoder "
            f"loses what tells the classes apart. {_for_the_decoder(bench, error)}"
        )
    return (
        f"reconstructions of the training images teach {decoded:.1f} %, so most is lost "
        f"where latents are drawn. {_for_the_latents(bench)}"
    )


def _larger_error(bench: SampleBench) -> float:
    """The squared error of reconstructions of unseen images, over that of training images."""
    unseen = _squared_error(bench, bench.unseen)
    seen = _squared_error(bench, bench.data.subset(_spread(bench.data, len(bench.unseen))))
    return unseen / max(seen, 1e-9)


def _squared_error(bench: SampleBench, data: ImageData) -> float:
    data = data.subset(_spread(data, images_at_once(data.images)))
    return float((bench.reconstructed(data) - to_float(data.images)).square().mean())


def _spread(data: ImageData, most: int) -> Tensor:
    return torch.arange(0, len(data), max(1, len(data) // most))


def _for_the_decoder(bench: SampleBench, larger_error: float) -> str:
    if larger_error > LARGER_ERROR:
        return (
            f"Its error on unseen images is {larger_error:.1f} times that on training images: "
            "more images would help, not more minutes."
        )
    facts = bench.model.spec.training
    found = f"Its error on unseen images is {larger_error:.1f} times that on training images, so "
    if float(facts.get("beta", 0)) > HIGH_BETA:
        return f"{found}it can learn more: --beta {float(facts['beta']) / 5:g}, or more minutes."
    is_energy = str(facts.get("network")).startswith("energy")
    wider = "energy-large" if is_energy else "conv-large or energy"
    return f"{found}it can learn more: more minutes, or --network {wider}."


def _for_the_latents(bench: SampleBench) -> str:
    counts = bench.data.labels.bincount(minlength=bench.classes)
    typical = int(counts.median())
    if typical < FEW_PER_CLASS:
        return f"Classes have {typical} images (the median): more images would help."
    spec = bench.model.spec
    # As --latent-dim counts, without the detail of "energy"; files of other makers do not say.
    latent_dim = int(spec.training.get("latent_dim", spec.latent_dim))
    return (
        f"Classes have {typical} images (the median), enough for fewer latent dimensions to be "
        f"told apart: --latent-dim {max(2, latent_dim * 2 // 3)}, or a larger --beta."
    )
