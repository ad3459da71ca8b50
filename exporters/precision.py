"""The same graph in fewer bits: float16 weights, or int8 arithmetic.

int8 is static, with scales fixed beforehand from calibration images. Dynamic int8 takes its scales from the batch at
hand, so that an image's result would depend on its neighbours.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modelfile import ModelFile
from ..pixels import psnr
from ..runtime import VAEModel
from ..training import ImageData
from ..training.data import to_float
from .graph import finish, quiet
from .join import join

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION_IMAGES = 512
_CALIBRATION_BATCH = 64
_SMALL = 64  # elements of tensors that stay as they are: biases, shapes, constants


def reduce_precision(file: ModelFile, precision: str, images: Tensor) -> bytes:
    """The bytes of `file` in another precision.

    Args:
        precision: "fp16", which stores the weights in half the size and computes in float32, or "int8".
        images: float32 [N, C, H, W] in [0, 1], to calibrate int8 on.
    """
    if precision == "fp16":
        return finish(_halve(onnx.load_from_string(file.content)), file.spec)
    return finish(_quantize(file, images), file.spec)


def reference_images(file: ModelFile, data: ImageData | None, count: int) -> Tensor:
    """`count` images, float32 in [0, 1]: those of `data` over and over, or the model's own samples."""
    if data is None:
        return VAEModel(file, provider="cpu").sample(count)[0]
    return to_float(data.images[torch.arange(count) % len(data)])


def perturbed_psnr(full: ModelFile, reduced: ModelFile, images: Tensor) -> float:
    """How alike two files perturb the same images with the same noise: peak signal-to-noise ratio, in dB."""
    noise = torch.randn(len(images), full.spec.latent_dim, generator=torch.Generator().manual_seed(0))
    models = [VAEModel(file, provider="cpu") for file in (full, reduced)]
    inputs = {"image": images, "noise": noise, "strength": torch.ones(len(images))}
    one, other = (model.run("whole", inputs | model.label_input(None, len(images)))[0] for model in models)
    return psnr(one, other)


def _halve(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > _SMALL:
            name, half = tensor.name, f"{tensor.name}.half"
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), half))
            casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _quantize(file: ModelFile, images: Tensor) -> onnx.ModelProto:
    """Quantize encoder and decoder apart, so that the file still falls into the two, then join them."""
    model = VAEModel(file, provider="cpu")
    mean, logvar = model.encode(images)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    labels = model.label_input(None, len(images))
    encoder = _quantize_part(file, "encoder", {"image": images} | labels)
    decoder = _quantize_part(file, "decoder", {"latent": mean + (0.5 * logvar).exp() * noise} | labels)
    return join(encoder, decoder, file.spec)


def _quantize_part(file: ModelFile, part: str, inputs: dict[str, Tensor]) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_static

    model = onnx.load_from_string(file.part(part))
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder, "part.onnx")
        quantize_static(
            model,
            path,
            _Reader(inputs),
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # The small layers that give the moments cost little, and every error in them moves the latent.
            nodes_to_exclude=[node.name for node in model.graph.node if set(node.output) & {"mean", "logvar"}],
        )
        return onnx.load(path)


class _Reader:
    """onnxruntime's CalibrationDataReader: the inputs in batches, then None."""

    def __init__(self, inputs: dict[str, Tensor]) -> None:
        rows = range(0, len(next(iter(inputs.values()))), _CALIBRATION_BATCH)
        self._batches = iter(
            [{name: tensor[row : row + _CALIBRATION_BATCH].numpy() for name, tensor in inputs.items()} for row in rows]
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)
