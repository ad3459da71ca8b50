"""`Trainer`: the state of a run and one update of it at a time.

Order, noise and dropped labels are functions of (seed, epoch, position), so a run that was killed
and resumed gives the same weights as one that was not, and no generator's state needs storing.
"""

import copy
import math
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .._version import __version__
from ..errors import InputError, VAEAugmentError
from ..model.kinds import REDRAWING, SAMPLING
from ..model.spec import Spec
from ..transforms.distortions import warp
from ..transforms.latent import partner_in_batch
from . import distributed
from .checkpoint import Checkpoint, build_network, flatten, part
from .config import FitConfig
from .data.image_data import ImageData, to_float
from .half_precision import half_precision, half_products
from .networks.energy import DETAIL
from .networks.redrawing import random_warps
from .networks.vae import Terms


class Best(NamedTuple):
    """The weights of the epoch with the lowest held-out loss; epoch 0 = none measured yet."""

    weights: dict[str, Tensor]
    loss: float = math.inf
    epoch: int = 0


class Trainer:
    """The state of a run, and one update of it at a time.

    Under torchrun each rank takes its share of every batch.
    """

    def __init__(self, data: ImageData, config: FitConfig) -> None:
        self.is_paired = config.condition == "image"
        self.data, self.held_out = _split(_in_pairs(data) if self.is_paired else data, config)
        self.config = config = config.for_images(len(self.data))
        self.facts: dict[str, Any] = {
            "data": data.name,
            "images": len(data),
            "data_sha256": data.digest,
        }
        self.facts |= asdict(config)
        self.per_epoch = math.ceil(len(self.data) / config.batch_size)
        assert config.epochs is not None  # `for_images` sets both
        assert config.patience is not None
        self.epochs = config.epochs
        self.patience = config.patience
        self.total = self.epochs * self.per_epoch
        self.step = 0
        classes = len(data.classes) if config.conditional else 0
        self.network: dict[str, Any] = {
            "network": config.network,
            "width": config.width,
            "classes": classes,
        }
        if self.is_paired:
            self.network = {"network": "redrawing"}
        latent_dim = config.latent_dim
        if config.objective == "energy":
            self.network["network"] = "energy"
            latent_dim += DETAIL
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_network(data.image_shape, latent_dim, **self.network)
        # Convolutions train a tenth faster with the channels last; linear layers do not care.
        self.model.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.is_classic = self.network["network"] == "mlp"  # trained exactly as the classic example
        self.average = self.model if self.is_classic else copy.deepcopy(self.model)
        self.objective = (
            DistributedDataParallel(self.model) if distributed.world_size() > 1 else self.model
        )
        self.best = Best({})
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate, fused=True)
        precisions = {
            "auto": half_precision(config.device),
            "float32": None,
            "bfloat16": torch.bfloat16,
        }
        self.precision = precisions[config.precision]
        # The classic network is so small that the conversions of autocast cost more than it saves.
        has_autocast = self.precision is not None and not (
            self.is_classic and config.precision == "auto"
        )
        self.autocast = torch.autocast(config.device, self.precision, enabled=has_autocast)
        self._plan: tuple[int, Tensor, Tensor, Tensor, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return self.step // self.per_epoch

    @property
    def is_finished(self) -> bool:
        """True after the last step, or when the held-out loss has not fallen for `patience` epochs."""
        has_stalled = self.held_out is not None and self.epoch - self.best.epoch >= self.patience
        return self.step >= self.total or has_stalled

    @property
    def weight_bytes(self) -> int:
        """The size of the network's weights."""
        return sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def update(self) -> Terms:
        """Take one step and return the means of the two terms over the whole batch."""
        image, target, label, noise, batch_size = self._batch()
        with half_products(self.precision is not None):
            with self.autocast:
                terms = self.objective(self._noisy(image, batch_size), target, label, noise)
            # Each rank divides by the size of the whole batch, so that the sum over ranks is the
            # mean.
            mean = Terms(
                *distributed.total(
                    torch.stack([term.detach() for term in terms]).sum(1) / batch_size
                )
            )
            if not math.isfinite(loss := (mean.reconstruction + mean.kl).item()):
                raise self._diverged(f"The loss is {loss}")
            self.optimizer.zero_grad()
            # DistributedDataParallel averages the gradients over ranks; they have to be summed.
            weight = torch.full_like(terms.kl, distributed.world_size() / batch_size)
            torch.autograd.backward(terms, (weight, self._kl_weight() * weight))
        if not self.is_classic:
            # Rare batches give gradients ten times the usual; cut those, leave the rest alone.
            nn.utils.clip_grad_norm_(self.model.parameters(), 200.0)
            self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * self._rate()
        self.optimizer.step()
        if not self.is_classic:
            # A decay that grows, so that the first weights are forgotten soon.
            decay = min(0.999, (1 + self.step) / (10 + self.step))
            get_ema_multi_avg_fn(decay)(
                list(self.average.parameters()), list(self.model.parameters()), self.step
            )
        self.step += 1
        return mean

    @torch.inference_mode()
    def measure(self) -> float:
        """The negative ELBO of the held-out images under the averaged weights.

        Keeps the weights if it is the best.
        """
        assert self.held_out is not None
        shape = len(self.held_out), self.model.noise_dim
        noise = torch.randn(shape, generator=_generator(self.config.seed, purpose=2))
        total = 0.0
        for rows in torch.arange(len(self.held_out)).split(1024):
            image = to_float(self.held_out.images[rows]).to(self.config.device)
            label = self.held_out.labels[rows].to(self.config.device)
            total += sum(
                term.sum().item()
                for term in self.average(image, image, label, noise[rows].to(image))
            )
        loss = total / len(self.held_out)
        if loss < self.best.loss:
            self.best = Best(copy.deepcopy(self.average.state_dict()), loss, self.epoch)
        return loss

    def _diverged(self, what: str) -> VAEAugmentError:
        return VAEAugmentError(
            f"{what} at step {self.step} (epoch {self.epoch + 1}). Training diverged and stopped; "
            "a saved state of it would diverge again. Start anew with a smaller --learning-rate "
            "and --overwrite."
        )

    def _rate(self) -> float:
        """The factor of the learning rate: linear warm-up times a cosine down to a hundredth."""
        warm = min(1.0, (self.step + 1) / max(1, min(500, self.total // 10)))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / self.total)))

    def _kl_weight(self) -> float:
        # A full KL term from the start lets dimensions collapse before the decoder has learnt to
        # use them.
        warm = 1.0 if self.is_classic else min(1.0, self.step / (0.2 * self.total))
        return self.config.beta * warm

    def _batch(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor, int]:
        """This rank's images, targets, labels and noise, and how many images the batch has on all ranks together."""
        epoch, batch = divmod(self.step, self.per_epoch)
        if self._plan is None or self._plan[0] != epoch:
            self._plan = (epoch, *self._plan_epoch(epoch))
        _, order, noise, is_dropped, partner = self._plan
        first = batch * self.config.batch_size
        end = min((batch + 1) * self.config.batch_size, len(order))
        places = slice(first + distributed.rank(), end, distributed.world_size())
        rows = order[places]
        image = to_float(self.data.images.index_select(0, rows)).to(self.config.device)
        label = None
        if self.config.conditional:
            label = (
                self.data.labels[rows].masked_fill(is_dropped[places], -1).to(self.config.device)
            )
        target = image
        if self.is_paired:
            other = to_float(self.data.images.index_select(0, partner[rows])).to(self.config.device)
            generator = _generator(self.config.seed, self.step, purpose=4)
            grids = random_warps(end - first, self.data.image_shape, generator)
            grids = grids[distributed.rank() :: distributed.world_size()].to(image.device)
            image, target = warp(torch.cat([image, other], 1), grids).chunk(2, 1)
        return image, target, label, noise[places].to(self.config.device), end - first

    def _plan_epoch(self, epoch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The order of the images, the noise [N, E], which labels are dropped [N] and a partner of each [N]."""
        generator = _generator(self.config.seed, epoch)
        count = len(self.data)
        order = torch.randperm(count, generator=generator)
        noise = torch.randn(count, self.model.noise_dim, generator=generator)
        is_dropped = torch.rand(count, generator=generator) < self.config.label_dropout
        partner = order
        if self.is_paired:
            partner = partner_in_batch(self.data.labels, torch.rand(count, generator=generator))
        return order, noise, is_dropped, partner

    def _noisy(self, image: Tensor, batch_size: int) -> Tensor:
        if not self.config.denoise:
            return image
        generator = _generator(self.config.seed, self.step, purpose=1)
        noise = torch.randn(batch_size, *image.shape[1:], generator=generator)
        noise = noise[distributed.rank() :: distributed.world_size()].to(image.device)
        return (image + self.config.denoise * noise).clamp_(0, 1)

    def checkpoint(self) -> Checkpoint:
        """All that the run needs to go on. Its `weights` are the averaged ones, of the best epoch if one is kept.

        Raises:
            VAEAugmentError: the weights are not finite, so that no such state replaces a sound one.
        """
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise self._diverged("Weights are not finite")
        average = self.average.state_dict()
        groups = {"model": self.model.state_dict(), "average": average, "best": self.best.weights}
        groups |= {
            f"optimizer.{index}": moments
            for index, moments in self.optimizer.state_dict()["state"].items()
        }
        state = flatten(groups) | {"step": torch.tensor(self.step)}
        if self.held_out is not None:
            state["best_loss"] = torch.tensor(self.best.loss, dtype=torch.float64)
            state["best_epoch"] = torch.tensor(self.best.epoch)
        spec = Spec(
            image_shape=self.data.image_shape,
            latent_dim=self.model.latent_dim,
            classes=() if self.is_paired else self.data.classes,
            conditional=self.config.conditional,
            kind=REDRAWING if self.is_paired else SAMPLING,
            training=self.facts | {"epochs_run": self.epoch},
            exporter=f"vae-augment {__version__}",
        )
        return Checkpoint(
            spec, self.network, self.best.weights if self.best.epoch else average, state
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from `checkpoint`.

        Values are copied into tensors of the memory layout that training uses.
        """
        state = checkpoint.state
        self.facts |= checkpoint.spec.training
        self.step = int(state["step"])
        self.model.load_state_dict(part(state, "model"))
        self.average.load_state_dict(part(state, "average"))
        if self.held_out is not None:
            self.best = Best(
                part(state, "best"), float(state["best_loss"]), int(state["best_epoch"])
            )
        moments = {}
        for index, parameter in enumerate(self.model.parameters()):
            moments[index] = part(state, f"optimizer.{index}")
            for name in ("exp_avg", "exp_avg_sq"):
                # The fused kernel goes through memory as it lies, so the moments need the layout of
                # their parameter.
                moments[index][name] = torch.empty_like(parameter).copy_(moments[index][name])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})


def _in_pairs(data: ImageData) -> ImageData:
    """The images of classes that have at least two; `InputError` when there are none."""
    counts = data.labels[data.labels >= 0].bincount(minlength=len(data.classes) + 1)
    rows = ((data.labels >= 0) & (counts[data.labels] > 1)).nonzero()[:, 0]
    if not len(rows):
        raise InputError(
            f"No class of {data.name} has two images; condition='image' trains on pairs of one "
            "class."
        )
    return data.subset(rows)


def _split(data: ImageData, config: FitConfig) -> tuple[ImageData, ImageData | None]:
    if not config.held_out:
        return data, None
    count = round(config.held_out * len(data))
    if not 0 < count < len(data):
        raise InputError(
            f"held_out {config.held_out} takes {count} of {len(data)} images; both parts need some."
        )
    order = torch.randperm(len(data), generator=_generator(config.seed, purpose=3))
    return data.subset(order[count:].sort().values), data.subset(order[:count].sort().values)


def _generator(seed: int, *position: int, purpose: int = 0) -> torch.Generator:
    words = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)
