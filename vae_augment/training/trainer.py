"""`Trainer`: the state of a run, and one update of it at a time."""

import math
from dataclasses import asdict, replace
from typing import Any

import torch

from .._version import __version__
from ..model.spec import Spec
from .batches import batches_for
from .checkpoint import Checkpoint, content_sha256, join_groups, select_group
from .config import FitConfig
from .data.image_data import ImageData
from .held_out import HeldOut, split_held_out
from .networks import build_network, find_network
from .networks.base import Terms
from .objective import diverged, objective_for
from .starting import START, start_from


class Trainer:
    """The state of a run. Under torchrun each rank takes its share of every batch.

    Args:
        data: the images, of which some may be held out or of no use.
        config: the settings.
        updates: how many to take, where `config` has no epochs; None = as many as suit the images.
        start: the checkpoint whose weights the network starts with.

    Attributes:
        data: the images that are trained on.
        held_out: those that only measure, or None.
        config: of the run, with all that `FitConfig.for_data` settles.
        facts: for `Spec.training`; the config, and what the run has found so far.
        step: how many updates are done, of `total_steps`.
    """

    def __init__(
        self,
        data: ImageData,
        config: FitConfig,
        updates: int | None = None,
        start: Checkpoint | None = None,
    ) -> None:
        kind_of_batches = batches_for(config)
        self.data, held_out = split_held_out(kind_of_batches.usable(data), config)
        self.facts: dict[str, Any] = {
            "data": data.name,
            "images": len(data),
            "data_sha256": data.digest,
        }
        if start is not None:
            self.facts[START] = content_sha256({}, start.weights)
        self.step = 0
        self._given_config = config
        self._plan(updates)
        config = self.config
        # What follows from the images is settled; another number of updates does not change it.
        self._given_config = replace(
            self._given_config,
            network=config.network,
            latent_dim=config.latent_dim,
            conditional=config.conditional,
            beta=config.beta,
        )
        assert config.network is not None  # `for_data` sets both
        assert config.latent_dim is not None
        network = find_network(config.network).network
        self.held_out = None if held_out is None else HeldOut(held_out, config)
        self.network_arguments: dict[str, Any] = {
            "network": config.network,
            "classes": len(data.classes) if config.conditional else 0,
        }
        latent_dim = config.latent_dim + network.detail_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = build_network(data.image_shape, latent_dim, **self.network_arguments)
        if start is not None:
            start_from(self.network, data.classes, start)
        # Convolutions train a tenth faster with the channels last; linear layers do not care.
        self.network.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batches = kind_of_batches(self.data, config, self.network.noise_dim)
        self.objective = objective_for(network)(self.network, config, self.total_steps)

    def _plan(self, updates: int | None) -> None:
        """Settle all that depends on the number of updates; None = that of the config's epochs."""
        is_started = START in self.facts
        self.config = self._given_config.for_data(self.data, updates, is_started=is_started)
        facts = asdict(self.config) | {"minutes": self._given_config.minutes, "updates": updates}
        self.facts |= {name: value for name, value in facts.items() if value is not None}
        assert self.config.epochs is not None  # `for_data` sets it
        self.epochs = self.config.epochs
        self.steps_per_epoch = math.ceil(len(self.data) / self.config.batch_size)
        self.total_steps = updates or self.epochs * self.steps_per_epoch

    def change_total_steps(self, updates: int) -> None:
        """Let the run end after so many updates, in place of those that it was made with."""
        self._plan(updates)
        self.objective.total_steps = updates
        if self.held_out is not None:
            self.held_out.config = self.config

    @property
    def epoch(self) -> int:
        """How many epochs are done, of which the last one of a run may be cut short."""
        return self.epochs if self.step >= self.total_steps else self.step // self.steps_per_epoch

    @property
    def is_end_of_epoch(self) -> bool:
        """True after the last step of an epoch or of the run."""
        return self.step >= self.total_steps or self.step % self.steps_per_epoch == 0

    @property
    def is_finished(self) -> bool:
        """True after the last step, or when the held-out loss has stalled."""
        has_stalled = self.held_out is not None and self.held_out.has_stalled(self.epoch)
        return self.step >= self.total_steps or has_stalled

    @property
    def weight_bytes(self) -> int:
        """The size of the network's weights."""
        return sum(tensor.nbytes for tensor in self.network.state_dict().values())

    def update(self) -> Terms:
        """Take one step and return the means of the two terms over the whole batch."""
        terms = self.objective.minimise(self.batches.at(self.step), self.step)
        self.step += 1
        return terms

    def measure_held_out(self) -> float | None:
        """The loss of the held-out images, if there are any; the lowest keeps the weights."""
        if self.held_out is None:
            return None
        loss = self.held_out.measure(self.objective.average, self.epoch)
        self.facts |= {"held_out_loss": self.held_out.loss, "best_epoch": self.held_out.epoch}
        return loss

    def checkpoint(self) -> Checkpoint:
        """All that the run needs to go on.

        Its `weights` are the averaged ones, of the best epoch if images are held out.

        Raises:
            VAEAugmentError: the weights are not finite, so that no such state replaces a sound one.
        """
        if not all(parameter.isfinite().all() for parameter in self.network.parameters()):
            raise diverged(f"Weights are not finite at step {self.step} of {self.total_steps}")
        groups = self.objective.state()
        counters = {"step": torch.tensor(self.step)}
        weights = groups["average"]
        if self.held_out is not None:
            groups["best"] = self.held_out.weights
            counters["best_loss"] = torch.tensor(self.held_out.loss, dtype=torch.float64)
            counters["best_epoch"] = torch.tensor(self.held_out.epoch)
            weights = self.held_out.weights or weights
        spec = Spec(
            image_shape=self.data.image_shape,
            latent_dim=self.network.latent_dim,
            classes=self.data.classes if self.network.kind.samples else (),
            conditional=bool(self.config.conditional),
            kind=self.network.kind,
            training=self.facts | {"epochs_run": self.epoch},
            exporter=f"vae-augment {__version__}",
        )
        return Checkpoint(spec, self.network_arguments, weights, join_groups(groups) | counters)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from `checkpoint`."""
        state = checkpoint.state
        self.facts |= checkpoint.spec.training
        self.step = int(state["step"])
        optimizer = [f"optimizer.{index}" for index, _ in enumerate(self.network.parameters())]
        names = ["model", "average", *optimizer]
        self.objective.load_state({name: select_group(state, name) for name in names})
        if self.held_out is not None:
            self.held_out.weights = select_group(state, "best")
            self.held_out.loss = float(state["best_loss"])
            self.held_out.epoch = int(state["best_epoch"])
