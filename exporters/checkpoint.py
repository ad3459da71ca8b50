"""The source that is a checkpoint of `fit`."""

import os

import onnx
from torch import Tensor, nn

from ..model.vae_model import VAEModel
from ..training import load_checkpoint
from ..training.base_checkpoint import BaseCheckpoint, load_base_checkpoint
from .exportable import ExportableVAE


def from_checkpoint(path: str | os.PathLike[str]) -> ExportableVAE:
    """Load our own network, or that of the base of a checkpoint without one of its own."""
    with_base = load_base_checkpoint(path)
    if with_base is not None:
        return _from_base(with_base)
    checkpoint = load_checkpoint(path)
    network = checkpoint.build()
    return ExportableVAE(network, network.encode, network.decode, checkpoint.spec)


def _from_base(checkpoint: BaseCheckpoint) -> ExportableVAE:
    model = VAEModel(checkpoint.base, provider="cpu")

    def encode(image: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        return model.encode_batch(image)

    def decode(latent: Tensor, label: Tensor | None, image: Tensor) -> Tensor:
        return model.decode_batch(latent)

    graph = onnx.load_from_string(checkpoint.base.content)
    return ExportableVAE(nn.Module().eval(), encode, decode, checkpoint.spec, graph=graph)
