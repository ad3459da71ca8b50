"""From parts to the bytes of one ONNX file. The only place that calls the exporter of PyTorch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import onnx
import torch
from torch import Tensor, nn

from ..errors import ExportError
from ..model.evidence import write_metadata
from ..model.file import ALLOWED_OPS
from ..model.spec import INNER, Spec, part_interface
from .parts import VAEParts

OPSET = 18
RANDOM_OPS = frozenset(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform "
    "RandomUniformLike".split(" ")
)


class AugmentGraph(nn.Module):
    """image, noise, strength (, label) -> augmented, and the three tensors at which the file can be cut."""

    def __init__(self, parts: VAEParts) -> None:
        super().__init__()
        self.module = parts.module
        self._encode = parts.encode
        self._decode = parts.decode

    def forward(
        self, image: Tensor, noise: Tensor, strength: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """z = mean + strength * exp(logvar / 2) * noise (Kingma and Welling 2014, section 2.4), decoded."""
        mean, logvar = self._encode(image, label)
        latent = mean + strength[:, None] * (0.5 * logvar).exp() * noise
        return self._decode(latent, label, image), mean, logvar, latent


def example_inputs(parts: VAEParts, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of the graph by name.

    Images in [0, 1], normal noise, strengths in [0, 2], labels from -1.
    """
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
    """The bytes of the float32 file.

    `ExportError` names the cause if PyTorch cannot trace the model.
    """
    return finish(parts.graph or _trace(parts), parts.spec)


def finish(model: onnx.ModelProto, spec: Spec) -> bytes:
    """Name the three inner tensors, drop everything local, add the metadata and check the result."""
    graph = model.graph
    _check_operators(graph)
    # As outputs the three kept their names through the optimiser; as inner tensors they need their
    # value_info.
    inner = {value.name: value for value in (*graph.value_info, *graph.output)}
    whole = [output for output in graph.output if output.name not in INNER]
    del graph.output[:], graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.output.extend(whole)
    graph.value_info.extend(inner[name] for name in INNER)
    for node in graph.node:
        while node.input and not node.input[-1]:  # an optional input that is left out
            node.input.pop()
    for entry in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del entry.metadata_props[:]  # they hold the paths of the machine that exported
        entry.doc_string = ""
    graph.name, model.doc_string, graph.doc_string = "vae_augment", "", ""
    write_metadata(model, spec)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The graph is not valid ONNX: {error}") from None
    return model.SerializeToString(deterministic=True)


def _check_operators(graph: onnx.GraphProto) -> None:
    used = {node.op_type for node in graph.node}
    random = sorted(used & RANDOM_OPS)
    refused = sorted(used - ALLOWED_OPS)
    if random:
        raise ExportError(
            f"The graph draws random numbers ({', '.join(random)}): encode or decode calls randn, "
            "dropout or the like. They would repeat in every worker. Noise is an input of the "
            "graph, so return the mean and the log-variance and do not draw from them."
        )
    if refused:
        raise ExportError(
            f"The graph uses {', '.join(refused)}, which a model file may not contain. "
            "Write that step with ordinary layers and arithmetic."
        )


def _trace(parts: VAEParts) -> onnx.ModelProto:
    inputs, _ = part_interface("whole", parts.spec)
    example = example_inputs(parts, batch=2)
    try:
        with quiet():
            program = torch.onnx.export(
                AugmentGraph(parts).eval(),
                tuple(example[name] for name in inputs),
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=["augmented", *(f"cut.{name}" for name in INNER)],
                # Strings, because Dim("batch") is silently replaced by a fixed batch if the model
                # has one baked in.
                dynamic_shapes=tuple({0: "batch"} for _ in inputs),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(_cause(error)) from error
    assert program is not None
    # The tracer itself calls the result of x.mean() "mean", so that name is taken away before it is
    # given.
    model = program.model_proto
    rename(
        model.graph,
        {name: f"inner.{name}" for name in INNER} | {f"cut.{name}": name for name in INNER},
    )
    return model


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors that nodes compute, in place."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the exporter prints, warns and logs.

    Sixty lines of graph for one unsupported statement.
    """
    held = io.StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(held),
            contextlib.redirect_stderr(held),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(error).strip().partition("\n")[0]
    if "DataDependent" in type(error).__name__:
        return (
            "The model's control flow depends on its data (an `if` or a loop on a tensor's "
            "values), which a graph cannot hold. Use torch.where, or leave the branch out. "
            f"PyTorch says: {line}"
        )
    if "conflicts between user-specified ranges and inferred" in line:
        return (
            "The model has a batch size baked in: a constant or a view with a fixed first "
            "dimension. Use x.shape[0] or -1 there."
        )
    return f"PyTorch cannot export this model: {type(error).__name__}: {line}"
