"""From a VAE to the bytes of one ONNX file."""

from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from ..errors import ExportError
from ..model.evidence import write_metadata
from ..model.file import ALLOWED_OPS
from ..model.spec import INNER, Spec, part_interface
from .batch_size import read_from_own_input
from .exportable import ExportableVAE
from .tracing import SUPPORTED, trace

RANDOM_OPS = frozenset(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform "
    "RandomUniformLike".split(" ")
)
# Operators that are refused although modules use them, and what to write in their place.
_INSTEAD = {
    "GatherND": (
        "Index by torch.index_select(x, axis, indices); pool to sizes that divide those of the "
        'map; upsample with mode="nearest" in place of "nearest-exact".'
    ),
    "ScatterND ScatterElements": "Write x[...] = y as torch.where or torch.cat.",
    "Col2Im": "Use nn.PixelShuffle or nn.ConvTranspose2d in place of nn.Fold.",
    "Range": "Use nn.Conv2d with a stride, or nn.PixelUnshuffle, in place of nn.Unfold.",
    "Round Floor Ceil": "Leave the rounding out: the file gives float images.",
    "LSTM GRU RNN Loop Scan": "A graph without loops cannot hold recurrent layers; use others.",
}


class AugmentGraph(nn.Module):
    """The module that is exported: image, noise, strength (, label) -> augmented.

    It also returns the three tensors at which the file can be cut.
    """

    def __init__(self, vae: ExportableVAE) -> None:
        super().__init__()
        self.module = vae.module
        self._encode = vae.encode
        self._decode = vae.decode

    def forward(
        self, image: Tensor, noise: Tensor, strength: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode, perturb, decode: z = mean + strength * exp(logvar / 2) * noise.

        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, section 2.4.
        """
        mean, logvar = self._encode(image, label)
        latent = mean + strength[:, None] * (0.5 * logvar).exp() * noise
        return self._decode(latent, label, image), mean, logvar, latent


def example_inputs(vae: ExportableVAE, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of the graph by name.

    Images in [0, 1], normal noise, strengths in [0, 2], labels from -1.
    """
    generator = torch.Generator().manual_seed(seed)
    spec = vae.spec
    inputs = {
        "image": torch.rand(batch, *spec.image_shape, generator=generator),
        "noise": torch.randn(batch, spec.latent_dim, generator=generator),
        "strength": 2 * torch.rand(batch, generator=generator),
    }
    if spec.conditional:
        inputs["label"] = torch.randint(-1, len(spec.classes), (batch,), generator=generator)
    return inputs


def model_bytes(vae: ExportableVAE) -> bytes:
    """The bytes of the float32 file.

    `ExportError` names the cause if PyTorch cannot trace the model.
    """
    return finish(vae.graph or _trace(vae), vae.spec)


def finish(model: onnx.ModelProto, spec: Spec) -> bytes:
    """Declare the three inner tensors, drop everything local, add the metadata and check all."""
    graph = model.graph
    _check_operators(graph)
    del graph.output[:], graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.output.append(_batch_of("augmented", spec.image_shape))
    graph.value_info.extend(_batch_of(name, (spec.latent_dim,)) for name in INNER)
    for node in graph.node:
        while node.input and not node.input[-1]:  # an optional input that is left out
            node.input.pop()
    for entry in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del entry.metadata_props[:]  # they hold the paths of the machine that exported
        entry.doc_string = ""
    graph.name = "vae_augment"
    graph.doc_string = ""
    model.doc_string = ""
    write_metadata(model, spec)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The graph is not valid ONNX: {error}") from None
    return model.SerializeToString(deterministic=True)


def _batch_of(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])


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
            f"{_hint(refused)}"
        )


def _check_precision(graph: onnx.GraphProto) -> None:
    """A cast to fewer bits comes from `.half()` or autocast; `precision` only stores weights so."""
    kinds = [
        attribute.i for node in graph.node for attribute in node.attribute if attribute.name == "to"
    ]
    if {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16} & set(kinds):
        raise ExportError(
            "encode or decode computes in half precision; a file computes in float32. Leave "
            ".half(), .bfloat16() and torch.autocast out of them."
        )


def _hint(refused: Sequence[str]) -> str:
    for operators, hint in _INSTEAD.items():
        if set(refused) & set(operators.split(" ")):
            return hint
    return SUPPORTED


def _trace(vae: ExportableVAE) -> onnx.ModelProto:
    inputs, _ = part_interface("whole", vae.spec)
    example = example_inputs(vae, batch=2)
    named = {name: example[name] for name in inputs}
    model = trace(AugmentGraph(vae).eval(), named, ["augmented", *INNER])
    _check_precision(model.graph)
    read_from_own_input(model.graph)
    return model
