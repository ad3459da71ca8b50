"""`Trainer`: the state of a run and one update of it at a time.

Order, noise and dropped labels are functions of (seed, epoch, position), so a run that was killed and resumed gives
the same weights as one that was not, and only the step needs storing.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .._version import __version__
from ..errors import InputError, VAEAugmentError
from ..spec import Spec
from . import distributed
from .checkpoint import Checkpoint
from .config import FitConfig
from .data import ImageData, to_float
from .half_precision import half_precision, half_products
from .networks import VAE
from .objective import NegativeELBO, Terms, negative_elbo


@dataclass(frozen=True)
class Best:
    """The weights of the epoch with the lowest held-out loss."""

    weights: dict[str, Tensor]
    loss: float = math.inf
    epoch: int = 0

    def to_state(self) -> dict[str, Tensor]:
        """As tensors, for a checkpoint."""
        weights = {f"best.{name}": tensor for name, tensor in self.weights.items()}
        return weights | {
            "best_loss": torch.tensor(self.loss, dtype=torch.float64),
            "best_epoch": torch.tensor(self.epoch),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Best":
        """What `to_state` wrote."""
        weights = {name.removeprefix("best."): value for name, value in state.items() if name.startswith("best.")}
        return cls(weights, float(state["best_loss"]), int(state["best_epoch"]))


class Trainer:
    """The state of a run, and one update of it at a time. Under torchrun each rank takes its share of every batch."""

    def __init__(self, data: ImageData, config: FitConfig) -> None:
        self.config = config
        self.data, self.held_out = _split(data, config)
        self.per_epoch = math.ceil(len(self.data) / config.batch_size)
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
        objective = NegativeELBO(self.model)
        self.objective = DistributedDataParallel(objective) if distributed.world_size() > 1 else objective
        self.average = self._first_average()
        self.best = Best({name: tensor.clone() for name, tensor in self.average.items()})
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self.precision = self._precision()
        self._plan: tuple[int, Tensor, Tensor, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return self.step // self.per_epoch

    @property
    def is_finished(self) -> bool:
        """True after the last step, or when the held-out loss has not fallen for `patience` epochs."""
        return self.step >= self.total or (
            self.held_out is not None and self.epoch - self.best.epoch >= self.config.patience
        )

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights to use: the averaged ones, of the best epoch where images are held out."""
        return self.best.weights if self.held_out is not None and self.best.epoch else self.average

    def update(self) -> Terms:
        """Take one step and return the means of the two terms over the whole batch."""
        image, label, noise, whole = self._batch()
        with half_products(self.precision is not None):
            with torch.autocast(self.config.device, self.precision, enabled=self._has_autocast):
                terms = self.objective(self._noisy(image, whole), image, label, noise)
            # Each rank holds a part of the batch; divided by the whole, the parts add up to its mean.
            mean = Terms(*distributed.total(torch.stack([term.detach() for term in terms]).sum(1) / whole))
            self._check_finite(mean)
            self.optimizer.zero_grad()
            # DistributedDataParallel averages over ranks what has to be summed.
            share = torch.full_like(terms.kl, distributed.world_size() / whole)
            torch.autograd.backward(terms, (share, self._kl_weight() * share))
        if not self.config.is_classic:
            # Rare batches give gradients ten times the usual; cut those, leave the rest alone.
            nn.utils.clip_grad_norm_(self.model.parameters(), 200.0)
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * self._rate()
        self.optimizer.step()
        self._average()
        self.step += 1
        return mean

    @torch.inference_mode()
    def measure(self) -> float:
        """Minus the ELBO of the held-out images under the averaged weights; the best epoch so far is noted."""
        assert self.held_out is not None
        model = self._averaged_model()
        noise = torch.randn(
            len(self.held_out), self.config.latent_dim, generator=_generator(self.config.seed, purpose=2)
        )
        total = 0.0
        for rows in torch.arange(len(self.held_out)).split(1024):
            image = to_float(self.held_out.images[rows]).to(self.config.device)
            label = self.held_out.labels[rows].to(self.config.device)
            total += sum(term.sum().item() for term in negative_elbo(model, image, image, label, noise[rows].to(image)))
        loss = total / len(self.held_out)
        if loss < self.best.loss:
            weights = {name: tensor.clone() for name, tensor in self.average.items()}
            self.best = Best(weights, loss, self.epoch)
        return loss

    def _averaged_model(self) -> VAE:
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def _check_finite(self, mean: Terms) -> None:
        loss = (mean.reconstruction + mean.kl).item()
        if not math.isfinite(loss):
            raise VAEAugmentError(
                f"The loss is {loss} at step {self.step} (epoch {self.epoch + 1}). Training stopped; the last saved "
                "checkpoint is unharmed. Try a smaller --learning-rate."
            )

    def _precision(self) -> torch.dtype | None:
        if self.config.precision == "auto":
            return half_precision(self.config.device)
        return torch.bfloat16 if self.config.precision == "bfloat16" else None

    @property
    def _has_autocast(self) -> bool:
        # The classic network is so small that what autocast converts costs more than it saves; halved products pay.
        return self.precision is not None and not (self.config.is_classic and self.config.precision == "auto")

    def _rate(self) -> float:
        if self.config.is_classic:
            return 1.0
        warm = min(1.0, (self.step + 1) / max(1, min(500, self.total // 10)))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / self.total)))

    def _kl_weight(self) -> float:
        # A full KL term from the start lets dimensions collapse before the decoder has learnt to use them.
        warm = 1.0 if self.config.is_classic else min(1.0, self.step / (0.2 * self.total))
        return self.config.beta * warm

    def _first_average(self) -> dict[str, Tensor]:
        """Copies of the weights; for the classic network the weights themselves, which it does not average."""
        weights: dict[str, Tensor] = self.model.state_dict()
        return weights if self.config.is_classic else {name: tensor.clone() for name, tensor in weights.items()}

    def _average(self) -> None:
        if self.config.is_classic:
            return
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, 1 - decay)

    def _batch(self) -> tuple[Tensor, Tensor | None, Tensor, int]:
        """This rank's images, labels and noise, and how many images the batch has on all distributed."""
        epoch, batch = divmod(self.step, self.per_epoch)
        if self._plan is None or self._plan[0] != epoch:
            self._plan = (epoch, *self._plan_epoch(epoch))
        _, order, noise, dropped = self._plan
        first, end = batch * self.config.batch_size, min((batch + 1) * self.config.batch_size, len(order))
        places = slice(first + distributed.rank(), end, distributed.world_size())
        rows = order[places]
        image = to_float(self.data.images.index_select(0, rows)).to(self.config.device)
        label = None
        if self.config.conditional:
            label = self.data.labels[rows].masked_fill(dropped[places], -1).to(self.config.device)
        return image, label, noise[places].to(self.config.device), end - first

    def _plan_epoch(self, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = _generator(self.config.seed, epoch)
        count = len(self.data)
        order = torch.randperm(count, generator=generator)
        noise = torch.randn(count, self.config.latent_dim, generator=generator)
        return order, noise, torch.rand(count, generator=generator) < self.config.label_dropout

    def _noisy(self, image: Tensor, whole: int) -> Tensor:
        if not self.config.denoise:
            return image
        generator = _generator(self.config.seed, self.step, purpose=1)
        noise = torch.randn(whole, *image.shape[1:], generator=generator)[
            distributed.rank() :: distributed.world_size()
        ]
        return (image + self.config.denoise * noise.to(image.device)).clamp_(0, 1)

    def checkpoint(self, facts: dict[str, Any]) -> Checkpoint:
        """Everything that the run needs to go on, with the averaged weights as the usable ones."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        state["step"] = torch.tensor(self.step)
        state |= self.best.to_state() if self.held_out is not None else {}
        spec = Spec(
            image_shape=self.data.image_shape,
            latent_dim=self.config.latent_dim,
            classes=self.data.classes,
            conditional=self.config.conditional,
            training=facts,
            exporter=f"vae-augment {__version__}",
        )
        return Checkpoint(spec, self.network, dict(self.weights), state)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up where `checkpoint` stands. Values are copied into tensors of the layout that training gives them."""
        state = checkpoint.state
        self.step = int(state["step"])
        for name, tensor in self.model.state_dict().items():
            tensor.copy_(state[f"model.{name}"])
            self.average[name].copy_(state[f"average.{name}"])
        if self.held_out is not None:
            self.best = Best.from_state(state)
        moments = {
            index: {
                "step": state[f"optimizer.{index}.step"],
                # The fused kernel goes through memory as it lies, so the moments need the layout of their parameter.
                "exp_avg": torch.empty_like(parameter).copy_(state[f"optimizer.{index}.exp_avg"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(state[f"optimizer.{index}.exp_avg_sq"]),
            }
            for index, parameter in enumerate(self.model.parameters())
        }
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})


def _split(data: ImageData, config: FitConfig) -> tuple[ImageData, ImageData | None]:
    count = round(config.held_out * len(data))
    if not config.held_out:
        return data, None
    if not 0 < count < len(data):
        raise InputError(
            f"held_out {config.held_out} of {len(data)} images leaves {count} of them; both parts need some."
        )
    order = torch.randperm(len(data), generator=_generator(config.seed, purpose=3))
    return data.subset(order[count:].sort().values), data.subset(order[:count].sort().values)


def _generator(seed: int, *position: int, purpose: int = 0) -> torch.Generator:
    words = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))
