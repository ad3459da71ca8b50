"""From parts to the bytes of one ONNX file. The only place that calls the exporter of PyTorch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn

from ..errors import ExportError
from ..whitelist import INNER, part_interface
from .parts import VAEParts

OPSET = 18


class AugmentGraph(nn.Module):
    """image, noise, strength (, label) -> augmented, and the three tensors at which the file can be cut."""

    def __init__(self, parts: VAEParts) -> None:
        super().__init__()
        self.module = parts.module
        self._encode, self._decode = parts.encode, parts.decode

    def forward(
        self, image: Tensor, noise: Tensor, strength: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z = mean + strength * exp(logvar / 2) * noise (Kingma and Welling 2014, section 2.4), decoded."""
        mean, logvar = self._encode(image, label)
        latent = mean + strength[:, None] * (0.5 * logvar).exp() * noise
        return self._decode(latent, label), mean, logvar, latent


def example_inputs(parts: VAEParts, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of the whole graph by name: images in [0, 1], normal noise, strengths to 2, labels from -1."""
    generator = torch.Generator().manual_seed(seed)
    spec = parts.spec
    inputs = {
        "image": torch.rand(batch, *spec.image_shape, generator=generator),
        "noise": torch.randn(batch, spec.latent_dim, generator=generator),
        "strength": 2 * torch.rand(batch, generator=generator),
    }
    if spec.conditional:
        inputs["label"] = torch.randint(-1, len(spec.classes), (batch,), generator=generator)
    return inputs


def model_bytes(parts: VAEParts) -> bytes:
    """Trace `parts` and return the file's bytes: no external data, no local paths, metadata set.

    Raises:
        ExportError: PyTorch cannot trace it; the message has its last line.
    """
    inputs, _ = part_interface("whole", parts.spec.conditional)
    example = example_inputs(parts, batch=2)
    training = parts.module.training
    parts.module.eval()
    try:
        with _quiet():
            program = torch.onnx.export(
                AugmentGraph(parts).eval(),
                tuple(example[name] for name in inputs),
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=["augmented", *INNER],
                # Strings, because Dim("batch") is quietly replaced by a fixed batch where the model bakes one in.
                dynamic_shapes=tuple({0: "batch"} for _ in inputs),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"PyTorch cannot export this model: {_last_line(error)}") from error
    finally:
        parts.module.train(training)
    assert program is not None
    return _finished(program.model_proto, parts)


def _finished(model: onnx.ModelProto, parts: VAEParts) -> bytes:
    graph = model.graph
    # As outputs the three kept their names through the optimiser; as inner tensors they need their value_info.
    inner = [output for output in graph.output if output.name in INNER]
    whole = [output for output in graph.output if output.name not in INNER]
    del graph.output[:], graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.output.extend(whole)
    graph.value_info.extend(inner)
    for entry in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del entry.metadata_props[:]  # they hold the paths of the machine that exported
    graph.name, model.doc_string, graph.doc_string = "vae_augment", "", ""
    onnx.helper.set_model_props(model, parts.spec.to_metadata())
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter prints and warns: sixty lines of graph for one unsupported statement."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _last_line(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no message'}"
