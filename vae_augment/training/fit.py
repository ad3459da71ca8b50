"""`fit`: train a VAE on images held in memory.

Order, noise and dropped labels are functions of (seed, epoch, position), so a run that was killed and resumed gives
the same weights as one that was not, and only the step needs storing.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from .._version import __version__
from ..errors import DivergenceError, InputError
from ..files import refuse_existing
from ..interrupt import Interruptible
from ..spec import Spec
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .data import ImageData, to_float
from .mixture import fit_latents
from .networks import VAE
from .objective import Terms, negative_elbo

SECONDS_BETWEEN_SAVES = 10.0


@dataclass(frozen=True)
class FitConfig:
    """What a training run is made of. The same config and data give the same weights on the same machine.

    Attributes:
        network: "conv", or "mlp", which is the classic example to the letter: Adam at a constant rate, nothing else.
            `conv` adds a rate that warms up and falls along a cosine, a KL term that warms up (Sonderby et al.,
            "Ladder Variational Autoencoders", 2016), clipped gradients, averaged weights, and bfloat16 arithmetic
            where the machine has matrix units for it.
        width: of `conv`: "small", "base" or "large".
        latent_dim: size of the latent.
        conditional: give the labels to encoder and decoder. Some are dropped, so that the model also works without.
        label_dropout: the share of labels that is dropped in training, 0 to 1.
        epochs, batch_size, learning_rate: as usual; the rate is Adam's, its peak for `conv`.
        denoise: standard deviation, in [0, 1] pixel units, of the noise added to the input and not to the target
            (Im et al., "Denoising criterion for variational auto-encoding framework", 2017); 0 = none.
        seed: of weights, order, noise and dropped labels.
        device: "cpu" or "cuda".
    """

    network: str = "conv"
    width: str = "base"
    latent_dim: int = 20
    conditional: bool = False
    label_dropout: float = 0.3
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    denoise: float = 0.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("latent_dim", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be greater than 0.")
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}; it must lie in [0, 1].")
        if not 0 <= self.denoise < math.inf:
            raise InputError(f"denoise is {self.denoise}; it must be a standard deviation of at least 0.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device is 'cuda', but torch finds no CUDA device here. Use device='cpu'.")

    @property
    def is_classic(self) -> bool:
        """True for the network that is trained exactly as the classic example."""
        return self.network == "mlp"


class Epoch(NamedTuple):
    """Means over one epoch, in nats per image."""

    number: int
    loss: float
    reconstruction: float
    kl: float


class Trainer:
    """The state of a run, and one update of it at a time."""

    def __init__(self, data: ImageData, config: FitConfig) -> None:
        self.data, self.config = data, config
        self.per_epoch = math.ceil(len(data) / config.batch_size)
        self.total = config.epochs * self.per_epoch
        self.step = 0
        self.network = {
            "network": config.network,
            "width": config.width,
            "classes": len(data.classes) if config.conditional else 0,
        }
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.model = VAE(image_shape=data.image_shape, latent_dim=config.latent_dim, **self.network)
        # Convolutions train a tenth faster with the channels last; linear layers do not care.
        self.model.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, fused=True)
        self.precision = self._precision()
        self._plan: tuple[int, Tensor, Tensor, Tensor] | None = None

    def update(self) -> Terms:
        """Take one step and return the means of the two terms over its batch."""
        image, label, noise = self._batch()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        noisy = self._noisy(image)
        with torch.autocast(self.config.device, self.precision, enabled=self.precision is not None):
            terms = Terms(*(term.mean() for term in negative_elbo(self.model, noisy, image, label, noise)))
        loss = terms.reconstruction + self._kl_weight() * terms.kl
        if not math.isfinite(loss.item()):
            raise DivergenceError(
                f"The loss is {loss.item()} at step {self.step} (epoch {self.step // self.per_epoch + 1}). Training "
                "stopped; the last saved checkpoint is unharmed. Try a smaller --learning-rate."
            )
        self.optimizer.zero_grad()
        loss.backward()
        if not self.config.is_classic:
            # Rare batches give gradients ten times the usual; cut those, leave the rest alone.
            nn.utils.clip_grad_norm_(self.model.parameters(), 200.0)
        self.optimizer.step()
        self._average()
        self.step += 1
        return Terms(*(term.detach() for term in terms))

    def _precision(self) -> torch.dtype | None:
        if self.config.is_classic:
            return None
        if self.config.device == "cuda":
            return torch.bfloat16
        # Without matrix units bfloat16 is slower than float32.
        return torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16") else None

    def _rate(self) -> float:
        if self.config.is_classic:
            return 1.0
        warm = min(1.0, (self.step + 1) / max(1, min(500, self.total // 10)))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / self.total)))

    def _kl_weight(self) -> float:
        # A full KL term from the start lets dimensions collapse before the decoder has learnt to use them.
        return 1.0 if self.config.is_classic else min(1.0, self.step / (0.2 * self.total))

    def _average(self) -> None:
        current = self.model.state_dict()
        decay = 0.0 if self.config.is_classic else min(0.999, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.values()), list(current.values()), 1 - decay)

    def _batch(self) -> tuple[Tensor, Tensor | None, Tensor]:
        epoch, batch = divmod(self.step, self.per_epoch)
        if self._plan is None or self._plan[0] != epoch:
            self._plan = (epoch, *self._plan_epoch(epoch))
        _, order, noise, dropped = self._plan
        span = slice(batch * self.config.batch_size, (batch + 1) * self.config.batch_size)
        rows = order[span]
        image = to_float(self.data.images[rows]).to(self.config.device)
        label = self.data.labels[rows].masked_fill(dropped[span], -1).to(self.config.device)
        return image, label if self.config.conditional else None, noise[span].to(self.config.device)

    def _plan_epoch(self, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = _generator(self.config.seed, epoch)
        count = len(self.data)
        order = torch.randperm(count, generator=generator)
        noise = torch.randn(count, self.config.latent_dim, generator=generator)
        return order, noise, torch.rand(count, generator=generator) < self.config.label_dropout

    def _noisy(self, image: Tensor) -> Tensor:
        if not self.config.denoise:
            return image
        generator = _generator(self.config.seed, self.step, purpose=1)
        noise = torch.randn(image.shape, generator=generator).to(image.device)
        return (image + self.config.denoise * noise).clamp_(0, 1)

    def checkpoint(self, facts: dict[str, Any]) -> Checkpoint:
        """Everything that the run needs to go on, with the averaged weights as the usable ones."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, slot in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": tensor for name, tensor in slot.items()}
        state["step"] = torch.tensor(self.step)
        spec = Spec(
            image_shape=self.data.image_shape,
            latent_dim=self.config.latent_dim,
            classes=self.data.classes,
            conditional=self.config.conditional,
            training=facts,
            exporter=f"vae-augment {__version__}",
        )
        return Checkpoint(spec, self.network, dict(self.average), state)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up where `checkpoint` stands."""
        state = dict(checkpoint.state)
        self.step = int(state.pop("step"))
        self.average = {name: tensor.to(self.config.device) for name, tensor in checkpoint.weights.items()}
        self.model.load_state_dict(
            {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
        )
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                slots.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": slots})


def fit(
    data: ImageData,
    output: str | os.PathLike[str],
    config: FitConfig | None = None,
    *,
    overwrite: bool = False,
    report: Callable[[Epoch], None] | None = None,
) -> Checkpoint:
    """Train a VAE and write it to `output` (.safetensors), as one atomic file that is renewed while training goes on.

    The same call again resumes a run that was interrupted or killed.

    Args:
        data: the images, as `load_data` reads them; label -1 = unknown.
        output: the checkpoint's path.
        config: see `FitConfig`.
        overwrite: replace what is at `output`.
        report: called after each epoch.

    Returns:
        The finished checkpoint, with the distribution of the latents that generation draws from.

    Raises:
        OutputExistsError: `output` holds a finished checkpoint.
        InputError: `output` holds an unfinished run of another config or other data.
        DivergenceError: the loss is not finite.
        KeyboardInterrupt: after Ctrl-C, once the state is saved; a second Ctrl-C does not wait for that.
    """
    config = config or FitConfig()
    if config.conditional and not data.classes:
        raise InputError(f"{data.name} has no labels, which a conditional model needs. Leave out --conditional.")
    trainer = Trainer(data, config)
    facts = _facts(data, config)
    _resume_if_possible(trainer, Path(output), facts, overwrite)
    _train(trainer, Path(output), facts, report)
    finished = replace(trainer.checkpoint(facts), state={})
    latents = fit_latents(finished.build(), data, config.seed)
    finished = replace(finished, spec=replace(finished.spec, latents=latents))
    save_checkpoint(finished, output)
    return finished


def _train(trainer: Trainer, output: Path, facts: dict[str, Any], report: Callable[[Epoch], None] | None) -> None:
    saved = time.monotonic()
    with Interruptible() as interrupt, tqdm(total=trainer.total, initial=trainer.step, unit="step", disable=None) as bar:
        seen: list[Terms] = []
        while trainer.step < trainer.total:
            seen.append(trainer.update())
            bar.update()
            if trainer.step % trainer.per_epoch == 0:
                epoch = _mean(trainer.step // trainer.per_epoch, seen)
                facts |= {"loss": epoch.loss, "reconstruction": epoch.reconstruction, "kl": epoch.kl}
                bar.set_postfix_str(f"loss {epoch.loss:.2f} = {epoch.reconstruction:.2f} + KL {epoch.kl:.2f}")
                seen = []
                if report:
                    report(epoch)
            if interrupt.requested or time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save_checkpoint(trainer.checkpoint(facts), output)
                saved = time.monotonic()
            interrupt.raise_if_requested()


def _mean(number: int, seen: list[Terms]) -> Epoch:
    reconstruction = torch.stack([terms.reconstruction for terms in seen]).mean().item()
    kl = torch.stack([terms.kl for terms in seen]).mean().item()
    return Epoch(number, round(reconstruction + kl, 3), round(reconstruction, 3), round(kl, 3))


def _resume_if_possible(trainer: Trainer, output: Path, facts: dict[str, Any], overwrite: bool) -> None:
    if overwrite or not output.exists():
        return
    checkpoint = load_checkpoint(output)
    if checkpoint.is_finished:
        refuse_existing(output, overwrite)
    there = checkpoint.spec.training
    changed = [key for key in facts if facts[key] != there.get(key)]
    if changed:
        raise InputError(
            f"{output} holds an unfinished run with other settings: "
            + ", ".join(f"{key} {there.get(key)!r}, now {facts[key]!r}" for key in changed)
            + ". Give the same ones to resume it, or --overwrite (overwrite=True) to start anew."
        )
    trainer.resume(checkpoint)


def _facts(data: ImageData, config: FitConfig) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(data.images.numpy()))
    digest.update(data.labels.numpy().tobytes())
    return {"data": data.name, "images": len(data), "data_sha256": digest.hexdigest()[:16], **asdict(config)}


def _generator(seed: int, *position: int, purpose: int = 0) -> torch.Generator:
    words = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))
