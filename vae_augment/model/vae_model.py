"""`VAEModel`: a checked file, run by onnxruntime.

Sessions are opened on first use, once per process, and are never pickled: a pickled model is a path
and options. A forked child keeps the sessions that it inherits but never uses or destroys them: the
destructor would wait for threads that do not exist in the child (microsoft/onnxruntime pull request
31961).
"""

import functools
import math
import os
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arguments import whole_number
from ..errors import InputError, ModelFormatError
from ..noise import Stream, normals
from .evidence import weights_digest
from .file import MAX_BATCH, ModelFile, find_model, model_reference, read_model
from .labels import checked_labels
from .pixels import is_finite, to_batch
from .posterior import kl_divergence
from .sampling import Labels, check_generates, draw, parse_labels
from .sessions import (
    Provider,
    open_session,
    provider_name,
    resolve_providers,
    run_session,
    translated_errors,
)
from .spec import part_interface


@functools.lru_cache(maxsize=8)
def repeated(strength: float, count: int) -> Tensor:
    """The graph's input "strength" for `count` images, [B] float32 on the CPU.

    It is shared, so do not write to it.
    """
    return torch.full((count,), strength, device="cpu", dtype=torch.float32)


if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Images per run: the tensors between a network's layers are far larger than the images
_CHUNK = 1024
_inherited_sessions: list[Any] = []
_models: "weakref.WeakSet[VAEModel]" = weakref.WeakSet()


def _set_inherited_sessions_aside() -> None:
    for model in list(_models):
        _inherited_sessions.append(model._sessions)
        model._sessions = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_set_inherited_sessions_aside)


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

    Args: name: a bundled name ("mnist", "fashion-mnist", "glyphs") or the path of an .onnx file.
        provider: "auto" (CUDA where it can be used, else the CPU), "cpu", "cuda", or a list in
        onnxruntime's own form. threads: threads of onnxruntime; None = as many as torch uses. In a
        DataLoader worker it is always 1. sha256: the digest that the file must have, in
        hexadecimal; None accepts any. allow_ops: names of ONNX operators to allow in addition to
        `modelfile.ALLOWED_OPS`.

    Raises:
        NotFoundError: there is no bundled model and no file of that name.
        ModelFormatError: the file is not a vae-augment model, or has another format version.
        UnsafeModelError: the file breaks a safety rule, or has another digest.
        ProviderError: onnxruntime or the provider is not installed.
        InputError: `threads` is below 1, or `provider` is an unknown word.
    """
    file = read_model(find_model(name), sha256=sha256, allow_ops=allow_ops)
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
        self.sha256 = file.sha256
        self.spec = file.spec
        self.provider = provider
        self.threads = threads
        self.allow_ops = tuple(allow_ops)
        self.providers = resolve_providers(provider)
        self._file = file
        self._sessions: dict[str, InferenceSession] = {}
        _models.add(self)

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
        """The digest of the graph and latents, which binds evidence to them: see `weights_digest`."""
        return weights_digest(self._file.content)

    @property
    def device_type(self) -> str:
        """Where it runs: "cpu", "cuda", or onnxruntime's name of another provider."""
        return provider_name(self.providers)

    def encode(self, images: Tensor, labels: object = None) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> means and log-variances of their posteriors, each [B, D]."""
        batch = to_batch(torch.as_tensor(images), self.spec.image_shape)
        mean, logvar = self._run_in_chunks(
            "encoder", {"image": batch, **self.label_input(labels, len(batch))}
        )
        return mean, logvar

    def decode(self, latent: Tensor, labels: object = None, images: Tensor | None = None) -> Tensor:
        """Latents [B, D] -> images [B, C, H, W] in [0, 1].

        A model conditioned on an image also needs the `images`.
        """
        latent = self._numbers("latent", latent)
        inputs = {"latent": latent, **self.label_input(labels, len(latent))}
        if self.spec.image_conditional:
            if images is None:
                raise InputError(
                    f"{self.name!r} is conditioned on an image: its decoder needs the `images` too."
                )
            inputs["image"] = to_batch(torch.as_tensor(images), self.spec.image_shape)
        return self._run_in_chunks("decoder", inputs)[0]

    def redraw(self, images: Tensor, noise: Tensor, strength: float = 1.0) -> Tensor:
        """Images [B, C, H, W] and standard normal noise [B, D] -> images whose latents have moved by `strength`."""
        batch = to_batch(torch.as_tensor(images), self.spec.image_shape)
        return self._run_in_chunks(
            "whole", self.whole_inputs(batch, self._numbers("noise", noise), strength)
        )[0]

    def _numbers(self, name: str, given: Tensor) -> Tensor:
        rows = torch.as_tensor(given, dtype=torch.float32)
        if rows.ndim != 2 or rows.shape[1] != self.spec.latent_dim:
            raise InputError(
                f"The {name} has the shape {tuple(rows.shape)}; the model takes [B, "
                f"{self.spec.latent_dim}]."
            )
        return rows.contiguous()

    def reconstruct(self, images: Tensor, labels: object = None) -> Tensor:
        """Images [B, C, H, W] -> their decoded posterior means, [B, C, H, W] in [0, 1]."""
        return self.decode(self.encode(images, labels)[0], labels, images)

    def sample(
        self, n: int, labels: Labels = "balanced", seed: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Generate n images, at least 1: item i is that of `VAESyntheticDataset` with the same labels and seed.

        Returns: images [n, C, H, W] and their labels [n] int64, or None in their place when the
            model has no classes.
        """
        n = whole_number("n", n, 1)
        check_generates(self.spec, self.name)
        latent, drawn = draw(self.spec, parse_labels(labels, self.spec), np.arange(n), seed)
        images = self.decode(torch.from_numpy(latent), drawn)
        return images, torch.from_numpy(drawn) if self.spec.generates_classes else None

    def anomaly_score(self, images: Tensor) -> Tensor:
        """How unlike the training data each of the images [B, C, H, W] is, in nats, [B]; larger = less like it.

        It is the negative ELBO at the posterior mean, minus the entropy of the image's own grey
        levels, which is the cross-entropy of a perfect reconstruction.
        """
        if self.spec.image_conditional:
            raise InputError(
                f"{self.name!r} is conditioned on an image, so it gives no likelihood. Use "
                "another model."
            )
        return torch.cat(
            [self._anomaly_score(chunk) for chunk in torch.as_tensor(images).split(_CHUNK)]
        )

    def _anomaly_score(self, images: Tensor) -> Tensor:
        batch = to_batch(images, self.spec.image_shape)
        mean, logvar = self.encode(batch)
        cost = F.binary_cross_entropy(self.decode(mean), batch, reduction="none")
        entropy = F.binary_cross_entropy(batch, batch, reduction="none")
        return (cost - entropy).flatten(1).sum(1) + kl_divergence(mean, logvar)

    def label_input(self, labels: object, count: int) -> dict[str, Tensor]:
        """The graph's input "label" for `count` images.

        Empty for a model that is not conditional.
        """
        if not self.spec.conditional:
            return {}
        unknown = torch.full((count,), -1, device="cpu")
        return {"label": unknown if labels is None else checked_labels(labels, count, self.spec)}

    def whole_inputs(
        self, batch: Tensor, noise: Tensor, strength: float, labels: object = None
    ) -> dict[str, Tensor]:
        """The inputs of the part "whole" for float32 images [B, C, H, W] in [0, 1] and standard normal noise [B, D]."""
        inputs = {"image": batch, "noise": noise, "strength": repeated(strength, len(batch))}
        return inputs | self.label_input(labels, len(batch))

    def run(self, part: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Run one part of the graph, "whole", "encoder" or "decoder", once, on inputs that nothing checks."""
        return self._run(self._session(part), part, inputs)

    def _run(
        self, session: "InferenceSession", part: str, inputs: Mapping[str, Tensor]
    ) -> list[Tensor]:
        count = len(next(iter(inputs.values())))
        if count > MAX_BATCH:
            raise InputError(
                f"{count} images are given at once; the model was checked for at most {MAX_BATCH}."
            )
        rows = {name: self._row(name) for name in part_interface(part, self.spec)[1]}
        with translated_errors(f"{self.path} fails when run"):
            results = run_session(session, inputs, rows)
        for name, result in zip(rows, results, strict=True):
            if not is_finite(result):
                raise ModelFormatError(
                    f"{self.path}: {name} came out with values that are not finite (NaN or "
                    "infinity). The inputs are far outside those of the training, or the model is "
                    "damaged."
                )
        return results

    def _run_in_chunks(self, part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        """`run` on at most `_CHUNK` rows at a time, so that memory does not grow with the batch."""
        if len(set(map(len, inputs.values()))) > 1:
            counts = ", ".join(f"{name} has {len(tensor)}" for name, tensor in inputs.items())
            raise InputError(f"There must be as many rows of each input as images: {counts}.")
        chunks = zip(*(tensor.split(_CHUNK) for tensor in inputs.values()), strict=True)
        outputs = [self.run(part, dict(zip(inputs, tensors, strict=True))) for tensors in chunks]
        return (
            outputs[0]
            if len(outputs) == 1
            else [torch.cat(tensors) for tensors in zip(*outputs, strict=True)]
        )

    def probe(self) -> None:
        """Run every part on black, white and random images.

        `ModelFormatError` where results are not as declared.
        """
        for part in ("whole", "encoder", "decoder"):
            self._session(part)

    def _session(self, part: str) -> "InferenceSession":
        if part not in self._sessions:
            session = open_session(
                self._file.part(part), self.providers, self.threads, strict=self.provider != "auto"
            )
            for fill in ("zeros", "ones", "random"):
                self._probe(session, part, fill)
            self._sessions[part] = session
        return self._sessions[part]

    def _probe(self, session: "InferenceSession", part: str, fill: str) -> None:
        """Run two images; "random" are always the same ones, with normal noise of strength 1."""
        inputs, outputs = part_interface(part, self.spec)
        given = {name: self._probe_input(name, fill) for name in inputs if name != "label"}
        label = (
            None if fill == "zeros" else torch.tensor([0, len(self.spec.classes) - 1], device="cpu")
        )
        for name, output in zip(
            outputs, self._run(session, part, given | self.label_input(label, 2)), strict=True
        ):
            found = tuple(output.shape)
            shape = (2, *self._row(name))
            if found != shape:
                raise ModelFormatError(
                    f"{self.path}: {name} came out as {found}, expected finite {shape}."
                )
            if name == "augmented" and not (output.min() >= -1e-3 and output.max() <= 1 + 1e-3):
                raise ModelFormatError(f"{self.path}: its images have values outside [0, 1].")

    def _probe_input(self, name: str, fill: str) -> Tensor:
        shape = (2, *self._row(name))
        if fill != "random" or name == "strength":
            return torch.full(shape, float(fill != "zeros"), device="cpu", dtype=torch.float32)
        rows = normals(0, Stream.LATENT, 0, np.arange(2), math.prod(shape[1:]))
        values = torch.from_numpy(rows.astype(np.float32)).reshape(shape)
        return values.sigmoid() if name == "image" else values

    def _row(self, name: str) -> tuple[int, ...]:
        rows = {"image": self.spec.image_shape, "augmented": self.spec.image_shape, "strength": ()}
        return rows.get(name, (self.spec.latent_dim,))
