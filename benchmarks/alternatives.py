"""The things that `throughput.py` times against.

The same weights in PyTorch and in pythae, and other augmentations.
"""

import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.model.sessions import open_session
from vae_augment.model.spec import Spec
from vae_augment.training.checkpoint import Checkpoint, save_checkpoint
from vae_augment.training.networks import build_network
from vae_augment.training.networks.vae import VAE

SHAPE = (1, 28, 28)
Augmentation = Callable[[Any], Any]


@dataclass(frozen=True)
class Network:
    """One set of weights as a module and as a file.

    They are random: the speed does not depend on them.
    """

    name: str
    module: VAE
    path: Path

    @property
    def flops(self) -> int:
        """Floating-point operations an image of the graph's products, from the graph."""
        graph = onnx.shape_inference.infer_shapes(onnx.load(self.path)).graph
        weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        return sum(_flops(node, weights, shapes) for node in graph.node)


def _flops(
    node: onnx.NodeProto, weights: dict[str, tuple[int, ...]], shapes: dict[str, list[int]]
) -> int:
    if node.op_type in ("Gemm", "MatMul"):
        return 2 * math.prod(weights[node.input[1]])
    if node.op_type in ("Conv", "ConvTranspose"):
        tensor = node.output[0] if node.op_type == "Conv" else node.input[0]
        return 2 * math.prod(weights[node.input[1]][1:]) * math.prod(shapes[tensor][1:])
    return 0


def make_networks(folder: Path) -> list[Network]:
    """`mlp`, the classic 784-400-20, and `conv`, of the bundled models' architecture, classes and mixture."""
    bundled = load("mnist").spec
    spec = Spec(
        SHAPE, bundled.latent_dim, bundled.classes, bundled.conditional, latents=bundled.latents
    )
    return [
        _make(folder, Spec(SHAPE, 20), {"network": "mlp"}),
        _make(folder, spec, {"network": "conv", "classes": len(bundled.classes)}),
    ]


def _make(folder: Path, spec: Spec, network: dict[str, Any]) -> Network:
    torch.manual_seed(0)
    module = build_network(SHAPE, spec.latent_dim, **network).eval()
    checkpoint, path = (
        folder / f"{network['network']}.safetensors",
        folder / f"{network['network']}.onnx",
    )
    save_checkpoint(Checkpoint(spec, network, module.state_dict()), checkpoint)
    export(checkpoint, path)
    return Network(network["network"], module, path)


def bare_run(
    network: Network, threads: int, image: Tensor, noise: Tensor
) -> Callable[[], np.ndarray]:
    """onnxruntime on the same graph with the same options and nothing around it."""
    session = open_session(
        network.path.read_bytes(), ["CPUExecutionProvider"], threads, strict=False
    )
    feeds = {
        "image": image.numpy(),
        "noise": noise.numpy(),
        "strength": np.ones(len(image), np.float32),
    }
    if network.module.classes:
        feeds["label"] = np.full(len(image), -1)
    return lambda: session.run(None, feeds)[0]


class Eager(nn.Module):
    """The same perturbation in PyTorch."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        mean, logvar = self.vae.encode(image)
        return self.vae.decode(mean + (0.5 * logvar).exp() * noise)


def compiled(
    network: Network, image: Tensor, noise: Tensor
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """`Eager` by torch.compile for this shape; None, and the reason printed, where that fails."""
    torch.compiler.reset()  # at the ninth shape it would fall back to eager in silence
    fast = torch.compile(Eager(network.module), dynamic=False)
    try:
        with torch.inference_mode():
            fast(image, noise)
    except Exception as error:
        print(
            f"no torch.compile for {network.name}, batch {len(image)}: "
            f"{(str(error).splitlines() or [error])[0]}"
        )
        return None
    return fast


def pythae_model(network: Network) -> nn.Module:
    """pythae's VAE around the same two halves."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def forward(self, x: Tensor) -> ModelOutput:
            mean, logvar = network.module.encode(x)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=network.module.decode(z))

    config = models.VAEConfig(input_dim=SHAPE, latent_dim=network.module.latent_dim)
    return models.VAE(config, encoder=Encoder(), decoder=Decoder()).eval()


def rhvae_sampler(centroids: int, steps: int) -> Any:
    """pythae's sampler of the published data augmentation, on an untrained RHVAE with as many `centroids`."""
    from pythae.models import RHVAE, RHVAEConfig
    from pythae.samplers import RHVAESampler, RHVAESamplerConfig

    model = RHVAE(RHVAEConfig(input_dim=SHAPE, latent_dim=10)).eval()
    model.M_tens = torch.eye(10).repeat(centroids, 1, 1)
    model.centroids_tens = torch.randn(centroids, 10)
    return RHVAESampler(model, RHVAESamplerConfig(mcmc_steps_nbr=steps, n_lf=15, eps_lf=0.03))


def classical() -> dict[str, Augmentation]:
    """Other augmentations of one uint8 tensor [1, 28, 28], as many as install here."""
    found: dict[str, Augmentation] = {
        "v2.RandomAffine": v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1)),
        "v2.ElasticTransform": v2.ElasticTransform(34.0, 4.0),
        "v2.GaussianNoise": v2.GaussianNoise(),
    }
    for package, make in (("kornia", _kornia), ("albumentations", _albumentations)):
        if importlib.util.find_spec(package):
            found |= make()
    return found


def _kornia() -> dict[str, Augmentation]:
    from kornia import augmentation as kornia

    affine = kornia.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), p=1.0)
    elastic = kornia.RandomElasticTransform(kernel_size=(25, 25), sigma=(4.0, 4.0), p=1.0)
    # It takes floating images only, so the conversion belongs to its price.
    return {
        "kornia RandomAffine": lambda image: affine(image[None] / 255),
        "kornia RandomElasticTransform": lambda image: elastic(image[None] / 255),
    }


def _albumentations() -> dict[str, Augmentation]:
    os.environ.setdefault(
        "NO_ALBUMENTATIONS_UPDATE", "1"
    )  # its import would ask the network for a newer version
    import albumentations

    affine = albumentations.Affine(
        rotate=(-15, 15), translate_percent=(-0.1, 0.1), scale=(0.9, 1.1), p=1.0
    )
    elastic = albumentations.ElasticTransform(alpha=34, sigma=4, p=1.0)
    return {
        "albumentations Affine": lambda image: affine(image=image.numpy()[0])["image"],
        "albumentations ElasticTransform": lambda image: elastic(image=image.numpy()[0])["image"],
    }


def sgemm(size: int = 1024) -> tuple[Callable[[], Tensor], float]:
    """A square float32 product, and its floating-point operations."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    return lambda: left @ right, 2.0 * size**3
