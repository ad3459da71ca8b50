"""The source that is an encoder and a decoder made elsewhere, each an .onnx file of its own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from ..errors import ExportError, ModelFormatError, NotFoundError
from ..sessions import open_session
from ..spec import Spec
from .join import at_least, join
from .parts import EXPORTER, VAEParts, check_parts, image_decoder, parse_image_shape

Pair = tuple[str | os.PathLike[str], str | os.PathLike[str]]


def from_onnx_pair(
    pair: Pair, image_shape: Sequence[int] | None = None, classes: Sequence[str] = (), decoder_output: str = "image"
) -> VAEParts:
    """Adapt an encoder (image -> mean, logvar) and a decoder (latent -> image); both may take and give rows.

    Raises:
        NotFoundError, ModelFormatError: a file is not there, or not ONNX.
        ExportError: other inputs or outputs, or a batch size baked in.
    """
    encoder, decoder = (_read(Path(path)) for path in pair)
    moments = _moments(encoder)
    inputs, latent = _shape(encoder, "encoder"), _shape(decoder, "decoder")
    if len(latent) != 1:
        raise ExportError(f"The decoder takes [batch, {latent}]; a latent is one row of numbers.")
    shape = parse_image_shape(image_shape, inputs)
    facts = {"source": f"onnx pair {Path(pair[0]).name}, {Path(pair[1]).name}"}
    spec = Spec(shape, latent[0], tuple(classes), training=facts, exporter=EXPORTER)
    run_encoder, run_decoder = _runner(encoder, moments), _runner(decoder, [decoder.graph.output[0].name])

    def encode(image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, logvar = run_encoder(image.reshape(-1, *inputs))
        return mean, logvar

    def decode(latent: Tensor, label: Tensor | None = None) -> Tensor:
        return run_decoder(latent)[0]

    graph = join(encoder, decoder, spec, moments, decoder_output)
    return check_parts(VAEParts(nn.Module().eval(), encode, image_decoder(decode, spec, decoder_output), spec, graph))


def _read(path: Path) -> onnx.ModelProto:
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    try:
        model = at_least(onnx.load(path))
    except (DecodeError, ValueError, RuntimeError) as error:
        raise ModelFormatError(f"{path} cannot be read as ONNX: {error}") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]  # old files list weights as inputs
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _moments(encoder: onnx.ModelProto) -> list[str]:
    """The names of the encoder's mean and log-variance."""
    names = [value.name for value in encoder.graph.output]
    if {"mean", "logvar"} <= set(names):
        return ["mean", "logvar"]
    if len(names) != 2:
        raise ExportError(
            f"The encoder has the outputs {names}. Give it two, mean and log-variance in this order, or name them "
            "'mean' and 'logvar'."
        )
    return names


def _shape(model: onnx.ModelProto, part: str) -> list[int]:
    """The shape of a part's one input, without the batch."""
    if len(model.graph.input) != 1:
        names = [value.name for value in model.graph.input]
        raise ExportError(f"The {part} has the inputs {names}; it must have one. Noise is added outside of it.")
    batch, *dims = model.graph.input[0].type.tensor_type.shape.dim
    if batch.HasField("dim_value"):
        raise ExportError(
            f"The {part} has the batch size {batch.dim_value} baked in. Export it again with a dynamic first axis."
        )
    if not all(dim.HasField("dim_value") for dim in dims):
        raise ExportError(f"The {part} leaves the shape of its input open beyond the batch. Export it with fixed ones.")
    return [dim.dim_value for dim in dims]


def _runner(model: onnx.ModelProto, outputs: Sequence[str]) -> Callable[[Tensor], list[Tensor]]:
    session = open_session(model.SerializeToString(), ["CPUExecutionProvider"], None, strict=True)
    name = model.graph.input[0].name
    return lambda rows: [torch.from_numpy(array) for array in session.run(list(outputs), {name: rows.numpy()})]
