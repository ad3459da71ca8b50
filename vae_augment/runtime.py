"""`VAEModel`: a checked file, run by onnxruntime.

Sessions are made on first use, one set a process, and never travel: a pickled model is a path and options. A session
that a forked child inherits is parked, never destroyed, because its destructor would join threads that do not exist
in the child and hang (microsoft/onnxruntime pull request 31961).
"""

import functools
import os
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .errors import InputError, ModelFormatError
from .latent import kl_divergence
from .modelfile import ModelFile, find_model, model_reference, read_model
from .pixels import to_batch
from .sampling import LabelPolicy, Labels, draw_latents, parse_labels
from .sessions import Provider, open_session, provider_name, reaches, resolve_providers, run_bound
from .spec import part_interface

if TYPE_CHECKING:
    import onnxruntime


_PART = 1024  # images run at once: what lies between a network's layers is far larger than the images
_parked: list[Any] = []
_live: "weakref.WeakSet[VAEModel]" = weakref.WeakSet()


def _park_sessions() -> None:
    for model in list(_live):
        _parked.append(model._sessions)
        model._sessions = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_park_sessions)


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
        name: a bundled name ("mnist", "fashion-mnist") or the path of an .onnx file.
        provider: "auto" (the best one here), "cpu", "cuda", or a list in onnxruntime's own form.
        threads: of onnxruntime; None = as many as torch uses. In a DataLoader worker it is always 1.
        sha256: the digest that the file must have.
        allow_ops: operators to allow beside the careful loader's list.

    Raises:
        NotFoundError, ModelFormatError, UnsafeModelError: about the file.
        ProviderError: onnxruntime or the provider is not there.
    """
    return VAEModel(
        read_model(find_model(name), sha256=sha256, allow_ops=allow_ops),
        provider=provider,
        threads=threads,
        allow_ops=allow_ops,
    )


def as_model(model: "str | os.PathLike[str] | VAEModel", provider: Provider) -> "VAEModel":
    """A loaded model as it is, anything else loaded; `InputError` for a provider beside a loaded model."""
    if not isinstance(model, VAEModel):
        return load(model, provider=provider)
    if provider not in ("auto", model.provider):
        raise InputError(
            f"provider={provider!r} is given beside a model that was loaded with provider={model.provider!r}. "
            "Give it to load instead."
        )
    return model


class VAEModel:
    """A model that is ready to run. Make one with `load`.

    Images are tensors [B, C, H, W], float in [0, 1] or uint8; what comes back is float32 in [0, 1] on the CPU, or on
    the images' own device. Labels are class indices [B], -1 = unknown; only a conditional model looks at them.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        provider: Provider = "auto",
        threads: int | None = None,
        allow_ops: Collection[str] = (),
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1.")
        # Absolute, because it is read again by workers, wherever the process has gone in the meantime.
        self.path, self.sha256, self.spec = file.path.absolute(), file.sha256, file.spec
        self.provider, self.threads, self.allow_ops = provider, threads, tuple(allow_ops)
        self.providers = resolve_providers(provider)
        self._file = file
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        _live.add(self)

    def arguments(self) -> dict[str, Any]:
        """What `load` makes this model of again, as JSON-ready values."""
        return {
            "name": model_reference(self.path),
            "provider": self.provider,
            "threads": self.threads,
            "sha256": self.sha256,
            "allow_ops": list(self.allow_ops),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(load, **self.arguments()), ()

    def __repr__(self) -> str:
        return f"VAEModel({self.name!r}, provider={self.device_type!r})"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda", or onnxruntime's name of another provider."""
        return provider_name(self.providers)

    def encode(self, images: Tensor, labels: object = None) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> mean and log-variance of their latents, each [B, D]."""
        batch = to_batch(torch.as_tensor(images), self.spec.image_shape)
        mean, logvar = self._in_parts("encoder", {"image": batch, **self.label_input(labels, len(batch))})
        return mean, logvar

    def decode(self, latent: Tensor, labels: object = None) -> Tensor:
        """Latents [B, D] -> images [B, C, H, W] in [0, 1]."""
        latent = torch.as_tensor(latent, dtype=torch.float32)
        if latent.ndim != 2 or latent.shape[1] != self.spec.latent_dim:
            raise InputError(
                f"The latent has shape {tuple(latent.shape)}; the model takes [B, {self.spec.latent_dim}]."
            )
        return self._in_parts("decoder", {"latent": latent.contiguous(), **self.label_input(labels, len(latent))})[0]

    def reconstruct(self, images: Tensor, labels: object = None) -> Tensor:
        """What the model makes of the images: the decoded posterior means, [B, C, H, W]."""
        return self.decode(self.encode(images, labels)[0], labels)

    def sample(self, n: int, labels: Labels = "balanced", seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Generate n images; image i is that of `VAESyntheticDataset` with the same labels and seed.

        Returns:
            images [n, C, H, W] and their labels [n], or None in their place when the model knows no classes.
        """
        if n < 1:
            raise InputError(f"n is {n}; it must be at least 1.")
        images, drawn = self.generate(np.arange(n), labels, seed)
        return images, drawn if self.spec.generates_classes else None

    def generate(
        self, index: NDArray[np.int64], labels: Labels | LabelPolicy, seed: int, epoch: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The generated images at `index` and their labels: a function of (labels, seed, epoch, index) alone."""
        latent, drawn = self.draw(index, labels, seed, epoch)
        return self.decode(latent, drawn), drawn

    def draw(
        self, index: NDArray[np.int64], labels: Labels | LabelPolicy, seed: int, epoch: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The latents [B, D] and labels [B] of the generated images at `index`, which `decode` makes images of."""
        drawn = parse_labels(labels, self.spec).at(index, seed)
        latent = draw_latents(self.spec.latents, self.spec.latent_dim, drawn, index, seed, epoch)
        return torch.from_numpy(latent), torch.from_numpy(drawn)

    def anomaly_score(self, images: Tensor) -> Tensor:
        """How unlike the training data each image is, in nats, [B]; larger = less like it.

        It is minus the ELBO at the posterior mean, less the entropy of the image's own grey levels, which is what a
        perfect reconstruction would still cost.
        """
        return torch.cat([self._anomaly_score(part) for part in torch.as_tensor(images).split(_PART)])

    def _anomaly_score(self, images: Tensor) -> Tensor:
        batch = to_batch(images, self.spec.image_shape)
        mean, logvar = self.encode(batch)
        decoded = self.decode(mean).to(batch.device)
        cost = F.binary_cross_entropy(decoded, batch, reduction="none")
        entropy = F.binary_cross_entropy(batch, batch, reduction="none")
        return (cost - entropy).flatten(1).sum(1) + kl_divergence(mean, logvar)

    def label_input(self, labels: object, count: int) -> dict[str, Tensor]:
        """The graph's `label` input for a conditional model, nothing for another. None = all unknown."""
        if not self.spec.conditional:
            return {}
        return {"label": torch.full((count,), -1) if labels is None else self.check_labels(labels, count)}

    def check_labels(self, labels: object, count: int) -> Tensor:
        """`labels` as int64 [count] on the CPU; `InputError` when they do not go with the images or the classes."""
        given = torch.as_tensor(labels).reshape(-1).cpu()
        if given.is_floating_point() or len(given) != count:
            raise InputError(f"labels of type {given.dtype} and length {len(given)} do not go with {count} images.")
        if count and not (given.min() >= -1 and given.max() < len(self.spec.classes)):
            raise InputError(
                f"labels lie in {given.min()}..{given.max()}; the model knows -1 (unknown) and "
                f"0..{len(self.spec.classes) - 1}."
            )
        return given.to(torch.int64).contiguous()

    def _in_parts(self, part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        """`run` on at most 1,024 rows at a time, so that memory does not grow with the batch."""
        if len(next(iter(inputs.values()))) <= _PART:
            return self.run(part, inputs)
        parts = zip(*(tensor.split(_PART) for tensor in inputs.values()), strict=True)
        outputs = [self.run(part, dict(zip(inputs, tensors, strict=True))) for tensors in parts]
        return [torch.cat(tensors) for tensors in zip(*outputs, strict=True)]

    def run(self, part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        """Run one part of the graph, "whole", "encoder" or "decoder", in one call of onnxruntime."""
        session = self._sessions.get(part) or self._open(part)
        first = next(iter(inputs.values()))
        is_bound = len(first) > 0 and reaches(session, first.device)
        try:
            return self._run_bound(session, part, inputs) if is_bound else _run_on_host(session, inputs)
        except Exception as error:  # onnxruntime has its own, which are only RuntimeErrors
            raise ModelFormatError(f"{self.path} fails when run: {error}") from None

    def _run_bound(self, session: "onnxruntime.InferenceSession", part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        device, count = next((tensor.device, len(tensor)) for tensor in inputs.values())
        there = {name: tensor.to(device).contiguous() for name, tensor in inputs.items()}
        names = part_interface(part, self.spec.conditional)[1]
        outputs = {name: torch.empty(self._shape(name, count), device=device, dtype=torch.float32) for name in names}
        run_bound(session, there, outputs)
        return list(outputs.values())

    def _shape(self, output: str, count: int) -> tuple[int, ...]:
        return (count, *self.spec.image_shape) if output == "augmented" else (count, self.spec.latent_dim)

    def probe(self) -> None:
        """Run every part on two images; `ModelFormatError` for shapes or values that are not what the file says."""
        for part in ("whole", "encoder", "decoder"):
            if part not in self._sessions:
                self._open(part)

    def _open(self, part: str) -> "onnxruntime.InferenceSession":
        session = open_session(self._file.part(part), self.providers, self.threads, strict=self.provider != "auto")
        self._sessions[part] = session
        self._probe(session, part)
        return session

    def _probe(self, session: "onnxruntime.InferenceSession", part: str) -> None:
        """One small run: a file may declare one shape and give another, or numbers that are not finite."""
        channels, height, width = self.spec.image_shape
        zeros = {
            "image": np.zeros((2, channels, height, width), np.float32),
            "noise": np.zeros((2, self.spec.latent_dim), np.float32),
            "latent": np.zeros((2, self.spec.latent_dim), np.float32),
            "strength": np.zeros(2, np.float32),
            "label": np.full(2, -1),
        }
        inputs, outputs = part_interface(part, self.spec.conditional)
        try:
            results = session.run(outputs, {name: zeros[name] for name in inputs})
        except Exception as error:
            raise ModelFormatError(f"{self.path} fails when run: {error}") from None
        for name, result in zip(outputs, results, strict=True):
            shape = self._shape(name, 2)
            if result.shape != shape or not np.isfinite(result).all():
                raise ModelFormatError(f"{self.path}: {name} came out as {result.shape}, expected finite {shape}.")
            if name == "augmented" and not (result.min() >= -1e-3 and result.max() <= 1 + 1e-3):
                raise ModelFormatError(f"{self.path}: its images have values outside [0, 1].")


def _run_on_host(session: "onnxruntime.InferenceSession", inputs: dict[str, Tensor]) -> list[Tensor]:
    device = next(iter(inputs.values())).device
    outputs = session.run(None, {name: tensor.cpu().numpy() for name, tensor in inputs.items()})
    return [torch.from_numpy(output).to(device) for output in outputs]
