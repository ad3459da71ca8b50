"""A VAE as the file needs it: what every export source becomes."""

from collections.abc import Callable
from dataclasses import dataclass

from onnx import ModelProto
from torch import Tensor, nn

from ..model.spec import Spec


@dataclass(frozen=True)
class Reading:
    """A way to understand the numbers of a VAE from elsewhere.

    Attributes:
        options: the arguments of `export` that choose it, as they are written in Python.
        reconstruct: images [B, C, H, W] in [0, 1] -> their reconstructions, the same.
    """

    options: str
    reconstruct: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ExportableVAE:
    """A VAE ready for export.

    Attributes:
        module: owns the weights that `encode` and `decode` use.
        encode: images [B, C, H, W] in [0, 1] and labels [B] or None -> mean and log-variance, each
            [B, D].
        decode: latents [B, D], labels [B] or None, and the encoded images -> images [B, C, H, W] in
            [0, 1].
        spec: what goes into the file's metadata.
        graph: the whole ONNX graph, if the source is one; `encode` and `decode` are then the
            reference that it is compared with.
        readings: images [N, C, H, W] in [0, 1] like those of the training -> the ways to understand
            its numbers, among them the one in use; None for our own networks, where there is one.
    """

    module: nn.Module
    encode: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
    decode: Callable[[Tensor, Tensor | None, Tensor], Tensor]
    spec: Spec
    graph: ModelProto | None = None
    readings: Callable[[Tensor], list[Reading]] | None = None
