"""`Trainer`: the state of a run and one update of it at a time.

Order, noise and dropped labels are functions of (seed, epoch, position), so a run that was killed and resumed gives
the same weights as one that was not, and only the step needs storing.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._version import __version__
from ..errors import DivergenceError
from ..spec import Spec
from .checkpoint import Checkpoint
from .config import FitConfig
from .data import ImageData, to_float
from .networks import VAE
from .objective import Terms, negative_elbo


class Trainer:
    """The state of a run, and one update of it at a time."""

    def __init__(self, data: ImageData, config: FitConfig) -> None:
        self.data, self.config = data, config
        self.per_epoch = math.ceil(len(data) / config.batch_size)
        self.total = config.epochs * self.per_epoch
        self.step = 0
        self.network: dict[str, Any] = {
            "network": config.network,
            "width": config.width,
            "classes": len(data.classes) if config.conditional else 0,
        }
        with torch.random.fork_rng(devices=[]):
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
        warm = 1.0 if self.config.is_classic else min(1.0, self.step / (0.2 * self.total))
        return self.config.beta * warm

    def _average(self) -> None:
        decay = 0.0 if self.config.is_classic else min(0.999, (1 + self.step) / (10 + self.step))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, 1 - decay)

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
        """Take up where `checkpoint` stands. Values are copied into tensors of the layout that training gives them."""
        state = checkpoint.state
        self.step = int(state["step"])
        for name, tensor in self.average.items():
            tensor.copy_(checkpoint.weights[name])
        for name, tensor in self.model.state_dict().items():
            tensor.copy_(state[f"model.{name}"])
        for index, parameter in enumerate(self.model.parameters()):
            moments = {name: state[f"optimizer.{index}.{name}"] for name in ("exp_avg", "exp_avg_sq")}
            self.optimizer.state[parameter] = {"step": state[f"optimizer.{index}.step"].clone()} | {
                name: torch.empty_like(parameter).copy_(moment) for name, moment in moments.items()
            }


def _generator(seed: int, *position: int, purpose: int = 0) -> torch.Generator:
    words = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))
