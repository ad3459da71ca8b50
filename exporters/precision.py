"""The same graph in fewer bits: weights stored as float16, computed in float32; or int8 arithmetic.

int8 is static, with scales fixed beforehand from calibration images. Dynamic int8 takes its scales
from the batch at hand, so that an image's result would depend on its neighbours.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..model.evidence import KEPT_BY_ROUNDING
from ..model.file import ModelFile
from ..model.pixels import psnr
from ..model.vae_model import VAEModel
from ..training import ImageData
from ..training.data.image_data import to_float
from .graph import finish
from .tracing import quiet

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION_IMAGES = 512
_CALIBRATION_BATCH = 64
_SMALL = 64  # elements of tensors that stay float32: biases, shapes, constants


def reduce_precision(file: ModelFile, precision: str, images: Tensor) -> bytes:
    """The bytes of `file` in "fp16" or "int8".

    Args:
        file: a float32 file.
        precision: "fp16" or "int8".
        images: float32 [N, C, H, W] in [0, 1], on which int8 is calibrated.
    """
    model = _halve(file) if precision == "fp16" else _quantize(file, images)
    kept = {name: entry for name, entry in file.spec.evidence.items() if name in KEPT_BY_ROUNDING}
    return finish(model, replace(file.spec, evidence=kept))


def reference_images(file: ModelFile, data: ImageData | None) -> Tensor:
    """`CALIBRATION_IMAGES` images, float32 in [0, 1]: those of `data` over and over, or samples."""
    if data is None:
        return VAEModel(file, provider="cpu").sample(CALIBRATION_IMAGES)[0]
    return to_float(data.images[torch.arange(CALIBRATION_IMAGES) % len(data)])


def perturbed_psnr(full: ModelFile, reduced: ModelFile, images: Tensor) -> float:
    """How alike two files perturb the same images with the same noise.

    Peak signal-to-noise ratio, in dB.
    """
    inputs = _inputs(full, images)
    expected = VAEModel(full, provider="cpu").run("whole", inputs)[0]
    actual = VAEModel(reduced, provider="cpu").run("whole", inputs)[0]
    return psnr(expected, actual)


def _inputs(file: ModelFile, images: Tensor) -> dict[str, Tensor]:
    noise = torch.randn(
        len(images), file.spec.latent_dim, generator=torch.Generator().manual_seed(0)
    )
    return VAEModel(file, provider="cpu").whole_inputs(images, noise, 1.0)


def _halve(file: ModelFile) -> onnx.ModelProto:
    model = onnx.load_from_string(file.content)
    casts = []
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > _SMALL:
            name = tensor.name
            half = f"{tensor.name}.half"
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), half))
            casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _quantize(file: ModelFile, images: Tensor) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_static

    model = onnx.load_from_string(file.content)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"node.{index}"  # the quantizer finds nodes by their names
    with tempfile.TemporaryDirectory() as folder, quiet():
        full = Path(folder, "fp32.onnx")
        path = Path(folder, "int8.onnx")
        # By its path: given the model itself, older versions lose its weights on the way.
        onnx.save(model, full)
        quantize_static(
            full,
            path,
            _Batches(_inputs(file, images)),
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # The small layers that give mean and logvar cost little, and every error in them moves
            # the latent.
            nodes_to_exclude=[
                node.name for node in model.graph.node if set(node.output) & {"mean", "logvar"}
            ],
        )
        return onnx.load(path)


class _Batches:
    """onnxruntime's CalibrationDataReader: the inputs in batches, then None."""

    def __init__(self, inputs: dict[str, Tensor]) -> None:
        batches = {name: tensor.split(_CALIBRATION_BATCH) for name, tensor in inputs.items()}
        self._batches = iter(
            {name: batch.numpy() for name, batch in zip(batches, each, strict=True)}
            for each in zip(*batches.values(), strict=True)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)
