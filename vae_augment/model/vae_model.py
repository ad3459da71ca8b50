"""`VAEModel`: images to latents and back.

A pickled model is a path and options; who unpickles it reads the file again.
"""

import functools
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arguments import UNKNOWN, whole_number
from ..errors import InputError
from . import hub
from .evidence import weights_digest
from .file import ModelFile, find_model, model_reference, read_model
from .labels import checked_labels
from .partners import Partners, partners_of
from .pixels import to_batch
from .posterior import kl_divergence
from .running import Graph
from .sampling import Labels
from .sessions import Provider, provider_name, resolve_providers
from .sources import Source

# Images per run: the tensors between a network's layers are far larger than the images
_CHUNK = 1024


def load(
    name: str | os.PathLike[str],
    *,
    provider: Provider = "auto",
    threads: int | None = None,
    sha256: str | None = None,
    allow_ops: Collection[str] = (),
) -> "VAEModel":
    """Load a model.

    >>> model = load("mnist")
    >>> images, labels = model.sample(3)
    >>> images.shape
    torch.Size([3, 1, 28, 28])

    Args:
        name: a bundled name ("mnist", "fashion-mnist", "glyphs", and the bases of private fits,
            "strokes" and "objects"), the path of an .onnx file, or the address of one on the
            Hugging Face Hub, hf://owner/name/file.onnx@revision.
        provider: "auto" (CUDA where it can be used, else the CPU), "cpu", "cuda", or a list in
            onnxruntime's own form.
        threads: threads of onnxruntime; None = as many as torch uses. In a DataLoader worker it is
            always 1.
        sha256: the digest that the file must have, in hexadecimal; None accepts any.
        allow_ops: names of ONNX operators to allow in addition to
            `vae_augment.model.file.ALLOWED_OPS`.

    Raises:
        NotFoundError: there is no bundled model and no file of that name or address.
        ModelFormatError: the file is not a vae-augment model, or has another format version.
        UnsafeModelError: the file breaks a safety rule, or has another digest.
        ProviderError: onnxruntime or the provider is not installed.
        InputError: `threads` is below 1, or `provider` is an unknown word, or the address of the
            Hub is not one.
        VAEAugmentError: the Hub cannot be reached.
    """
    path = hub.download(str(name)) if hub.is_address(name) else find_model(name)
    file = read_model(path, sha256=sha256, allow_ops=allow_ops)
    return VAEModel(file, provider=provider, threads=threads, allow_ops=allow_ops)


def as_model(model: "str | os.PathLike[str] | VAEModel", provider: Provider) -> "VAEModel":
    """Return a loaded model as it is and load anything else.

    `InputError` when a loaded model has another provider.
    """
    if not isinstance(model, VAEModel):
        return load(model, provider=provider)
    if provider not in ("auto", model.provider):
        raise InputError(
            f"provider={provider!r} is given together with a model that was loaded with "
            f"provider={model.provider!r}. Give it to load instead."
        )
    return model


@functools.lru_cache(maxsize=8)
def repeated(strength: float, count: int) -> Tensor:
    """The graph's input "strength" for `count` images, [B] float32 on the CPU.

    It is shared, so do not write to it.
    """
    return torch.full((count,), strength, device="cpu", dtype=torch.float32)


@functools.lru_cache(maxsize=8)
def unknown_labels(count: int) -> Tensor:
    """The graph's input "label" where no label is known, [B] int64 on the CPU.

    It is shared, so do not write to it.
    """
    return torch.full((count,), UNKNOWN, device="cpu", dtype=torch.int64)


class VAEModel:
    """A VAE that is ready to run. Make one with `load`.

    Images are tensors [B, C, H, W], uint8 in 0..255 or floating in [0, 1]. Results are float32, on
    the device of the images or latents that were given. Labels are class indices, [B] integers, -1
    = unknown; None = all unknown. Only a conditional model uses them. `spec` has the model's facts:
    image_shape (C, H, W), latent_dim D, classes, ...

    Raises, when the network runs:
        InputError: a wrong shape, type, range or label.
        ModelFormatError: the file does not compute what it declares.
        VAEAugmentError: onnxruntime could not get enough memory.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        provider: Provider = "auto",
        threads: int | None = None,
        allow_ops: Collection[str] = (),
    ) -> None:
        if threads is not None:
            whole_number("threads", threads, 1)
        # Absolute, because workers read the file again, and the process may have changed its folder
        # by then.
        self.path = file.path.absolute()
        self.file = file
        self.sha256 = file.sha256
        self.spec = file.spec
        self.provider = provider
        self.threads = threads
        self.allow_ops = tuple(allow_ops)
        self.providers = resolve_providers(provider)
        self._graph = Graph(file, self.providers, threads, strict=provider != "auto")

    def arguments(self) -> dict[str, Any]:
        """The arguments with which `load` makes the same model again, as JSON-ready values."""
        names = ("provider", "threads", "sha256", "allow_ops")
        return {"name": model_reference(self.path)} | {name: getattr(self, name) for name in names}

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(load, **self.arguments()), ()

    def __repr__(self) -> str:
        return f"VAEModel({self.name!r}, provider={self.device_type!r})"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def weights_sha256(self) -> str:
        """The digest that binds evidence to the graph and latents: see `weights_digest`."""
        return weights_digest(onnx.load_from_string(self.file.content))

    @functools.cached_property
    def partners(self) -> Partners | None:
        """Latents for `VAEAugment` to move towards or away from; see `partners_of`."""
        return partners_of(self.spec, self._without_label)

    def _without_label(self, latent: Tensor, labels: Tensor) -> Tensor:
        mean, _ = self.encode_batch(self.decode_batch(latent, labels))
        return mean.cpu()

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda", or onnxruntime's name of another provider."""
        return provider_name(self.providers)

    # What users give is checked here, once. The methods after these trust it.

    def encode(self, images: Tensor, labels: object = None) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> means and log-variances of their posteriors, each [B, D]."""
        batch = to_batch(torch.as_tensor(images), self.spec.image_shape)
        return self.encode_batch(batch, self._checked_labels(labels, len(batch)))

    def decode(self, latent: Tensor, labels: object = None, images: Tensor | None = None) -> Tensor:
        """Latents [B, D] -> images [B, C, H, W] in [0, 1].

        A model that redraws images also needs the `images`; others leave them aside.
        """
        latent = self._numbers("latent", latent)
        inputs = {"latent": latent}
        if "image" in self.spec.kind.decoder_inputs:
            if images is None:
                raise InputError(
                    f"{self.name!r} is conditioned on an image: its decoder needs the `images` too."
                )
            inputs["image"] = to_batch(torch.as_tensor(images), self.spec.image_shape)
        labels = self._checked_labels(labels, len(latent))
        return self.run_in_chunks("decoder", inputs | self.label_input(labels, len(latent)))[0]

    def redraw(self, images: Tensor, noise: Tensor, strength: float = 1.0) -> Tensor:
        """Images [B, C, H, W] and standard normal noise [B, D] -> perturbed images.

        Their latents have moved by `strength` times the noise.
        """
        batch = to_batch(torch.as_tensor(images), self.spec.image_shape)
        return self.perturb_batch(batch, self._numbers("noise", noise), strength)

    def reconstruct(self, images: Tensor, labels: object = None) -> Tensor:
        """Images [B, C, H, W] -> their decoded posterior means, [B, C, H, W] in [0, 1]."""
        return self.decode(self.encode(images, labels)[0], labels, images)

    def sample(
        self, n: int, labels: Labels = "balanced", seed: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Generate n images, at least 1.

        Item i is that of `VAESyntheticDataset` with the same labels and seed.

        Returns:
            Images [n, C, H, W] and their labels [n] int64, or None in their place when the model
            has no classes.
        """
        n = whole_number("n", n, 1)
        source = self.source(labels)
        drawn, inputs = source.draw(self.spec, np.arange(n), seed)
        tensors = {name: torch.from_numpy(rows) for name, rows in inputs.items()}
        images = self.run_in_chunks(source.part, tensors)[0]
        return images, torch.from_numpy(drawn) if self.spec.generates_classes else None

    def anomaly_score(self, images: Tensor) -> Tensor:
        """How unlike the training data each of the images [B, C, H, W] is, in nats, [B].

        Larger = less like it. It is the negative ELBO at the posterior mean, minus the entropy of
        the image's own grey levels, which is the cross-entropy of a perfect reconstruction.
        """
        self.spec.kind.check_likelihood(self.name)
        chunks = torch.as_tensor(images).split(_CHUNK)
        return torch.cat([self._anomaly_score(chunk) for chunk in chunks])

    def _anomaly_score(self, images: Tensor) -> Tensor:
        batch = to_batch(images, self.spec.image_shape)
        mean, logvar = self.encode_batch(batch)
        cost = F.binary_cross_entropy(self.decode_batch(mean), batch, reduction="none")
        entropy = F.binary_cross_entropy(batch, batch, reduction="none")
        return (cost - entropy).flatten(1).sum(1) + kl_divergence(mean, logvar)

    def source(self, labels: Any, images: Any = None) -> Source:
        """What generation makes images of; arguments and errors are `VAESyntheticDataset`'s."""
        return self.spec.kind.source(self.spec, self.name, labels, images, ())

    def _checked_labels(self, labels: object, count: int) -> Tensor | None:
        is_used = self.spec.conditional and labels is not None
        return checked_labels(labels, count, self.spec) if is_used else None

    def _numbers(self, name: str, given: Tensor) -> Tensor:
        rows = torch.as_tensor(given, dtype=torch.float32)
        if rows.ndim != 2 or rows.shape[1] != self.spec.latent_dim:
            raise InputError(
                f"The {name} has the shape {tuple(rows.shape)}; the model takes [B, "
                f"{self.spec.latent_dim}]."
            )
        return rows.contiguous()

    # From here on nothing is checked: images are float32 in [0, 1] and contiguous, labels int64.

    def encode_batch(self, batch: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`encode` of images and labels that were checked before."""
        inputs = {"image": batch} | self.label_input(labels, len(batch))
        mean, logvar = self.run_in_chunks("encoder", inputs)
        return mean, logvar

    def decode_batch(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """`decode` of latents and labels that were checked before."""
        inputs = {"latent": latent} | self.label_input(labels, len(latent))
        return self.run_in_chunks("decoder", inputs)[0]

    def perturb_batch(
        self,
        batch: Tensor,
        noise: Tensor,
        strength: float,
        labels: Tensor | None = None,
        *,
        residual: bool = False,
    ) -> Tensor:
        """decode(latent), where the latent has moved by `strength` times the noise, in one run.

        With `residual`, image + decode(latent) - decode(mean), clipped to [0, 1].
        """
        inputs = self.whole_inputs(batch, noise, strength, labels)
        return self.run_in_chunks("residual" if residual else "whole", inputs)[0]

    def label_input(self, labels: Tensor | None, count: int) -> dict[str, Tensor]:
        """The graph's input "label" for `count` images.

        Empty for a model that is not conditional.
        """
        if not self.spec.conditional:
            return {}
        return {"label": unknown_labels(count) if labels is None else labels}

    def whole_inputs(
        self, batch: Tensor, noise: Tensor, strength: float, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The inputs of the part "whole" for images [B, C, H, W] and standard normal noise [B, D].

        `strength` is how far each latent moves.
        """
        inputs = {"image": batch, "noise": noise, "strength": repeated(strength, len(batch))}
        return inputs | self.label_input(labels, len(batch))

    def run(self, part: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Run one part of the graph once; see `Graph.run`."""
        results = self._graph.run(part, inputs)
        if part != "encoder":
            results[0].clamp_(0, 1)  # onnxruntime's sigmoid may exceed 1 by a rounding
        return results

    def run_in_chunks(self, part: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """`run` on at most `_CHUNK` rows at a time, so that memory does not grow with the batch."""
        counts = set(map(len, inputs.values()))
        if len(counts) > 1:
            lengths = ", ".join(f"{name} has {len(tensor)}" for name, tensor in inputs.items())
            raise InputError(f"There must be as many rows of each input as images: {lengths}.")
        most = _CHUNK // 2 if part == "residual" else _CHUNK  # "residual" decodes each row twice
        if counts.pop() <= most:
            return self.run(part, inputs)
        chunks = zip(*(tensor.split(most) for tensor in inputs.values()), strict=True)
        outputs = [self.run(part, dict(zip(inputs, tensors, strict=True))) for tensors in chunks]
        return [torch.cat(tensors) for tensors in zip(*outputs, strict=True)]

    def probe(self) -> None:
        """Run every part on black, white and random images.

        `ModelFormatError` where results are not as declared.
        """
        self._graph.probe()
