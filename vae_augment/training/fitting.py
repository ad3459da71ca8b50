"""`fit`: a whole training run, saved as it goes and resumed where it stopped."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from ..files import check_folder, identity, refuse_existing
from ..processes import Interruptible
from . import distributed
from .checkpoint import Checkpoint, save_checkpoint
from .checks import (
    check_classes,
    check_exportable,
    check_images,
    check_name,
    warn_of_small_classes,
)
from .config import FitConfig
from .data.image_data import ImageData
from .latent_distribution import fit_latents
from .networks.base import Terms
from .progress import is_hidden
from .resuming import load_unfinished, planned_updates, resume
from .starting import START, SUITED, Start, with_start
from .strength_unit import measure_unit
from .timing import MOST_MINUTES, Deadline, Estimate, Speed
from .trainer import Trainer

SECONDS_BETWEEN_SAVES = 10.0
logger = logging.getLogger(__name__)


class Epoch(NamedTuple):
    """Means over one epoch, per image, of `Terms`.

    `epochs` is how many the whole run has, `held_out` the loss of held-out images, if there are
    any.
    """

    number: int
    epochs: int
    loss: float
    reconstruction: float
    kl: float
    held_out: float | None = None


def fit(
    data: ImageData,
    output: str | os.PathLike[str],
    config: FitConfig | None = None,
    *,
    keep_bank: bool = False,
    overwrite: bool = False,
    report: Callable[[Epoch], None] | None = None,
    seconds_after: float = 0.0,
    start: Start | None = SUITED,
) -> Checkpoint:
    """Train a VAE and write it to `output` (.safetensors), replaced atomically as training goes on.

    The same call again resumes a run that was interrupted or killed. Under `torchrun` the ranks
    share each batch, and the first one writes. What is trained for how long, or where a resumed run
    goes on, is logged (`logging.getLogger("vae_augment")`), in the first rank only.

    Args:
        data: the images, as `load_data` reads them; label -1 = unknown.
        output: the file to write.
        config: the settings; None = those of `FitConfig()`.
        keep_bank: keep latents of training images, as `fit_latents` says.
        overwrite: replace what is at `output`.
        report: called after each epoch, in the first rank only.
        seconds_after: of `config.minutes`, which the caller needs for what comes after the call.
        start: a checkpoint, or its path, of other images of the same shape, whose weights the run
            starts with, but for those of classes that it does not have; it takes half the updates
            then, unless `config` gives their number. Network and `latent_dim` are those of the
            checkpoint where `config` has none. "photographs" = a bundled one, "energy" of 46,400
            grey photographs of 28x28; "suited" = that for grey images of 28x28 that "energy" learns
            by default, at least 200 per class and at most 1,000 in all, else None; None = random
            weights.

    Returns:
        The finished checkpoint, with the distribution of the latents that generation samples from.
        Its `spec.training` holds how good the network is, on the held-out images if there are any;
        `describe_quality` says it in words.

    Raises:
        OutputExistsError: `output` holds a finished checkpoint, or another process wrote it in the
            meantime; the message then says where the state of this run is.
        NotFoundError: there is no folder for `output`.
        InputError: `output` holds an unfinished run of another config, other data or another
            start, is a folder or ends in .onnx; `start` does not fit; or `export` would refuse the
            model.
        VAEAugmentError: the loss is not finite.
        KeyboardInterrupt: after Ctrl-C, once the state is saved; a second Ctrl-C does not wait for
            that.
    """
    config, started = with_start(config or FitConfig(), start, data)
    output = Path(output)
    check_name(output)
    check_classes(data, config)
    check_images(data, config)
    file = _CheckpointFile(output, overwrite)
    with distributed.process_group(config.device):
        if distributed.rank() == 0:
            check_folder(output)
        unfinished = None if overwrite else load_unfinished(output)
        updates, deadline = _plan(data, config, unfinished, seconds_after)
        trainer = Trainer(data, config, updates, started)
        check_exportable(trainer)
        warn_of_small_classes(trainer)
        _log(_description(trainer))
        if unfinished is not None:
            resume(trainer, unfinished, output)
            number = min(trainer.epoch + 1, trainer.epochs)
            _log(f"resuming {output} in epoch {number}/{trainer.epochs}")
        _train(trainer, file, report, Estimate(_log, deadline), deadline)
        finished = _finished(trainer, data, keep_bank)
        file.save(finished)
    return finished


def _log(text: str) -> None:
    if distributed.rank() == 0:
        logger.info(text)


def _plan(
    data: ImageData, config: FitConfig, unfinished: Checkpoint | None, seconds_after: float
) -> tuple[int | None, Deadline | None]:
    """How many updates are made, None = as the config says, and what ends them in time.

    A resumed run keeps its number, because nothing says how much of its time is spent.
    """
    if config.epochs is not None:
        return None, None
    if unfinished is not None:
        return planned_updates(unfinished), None
    if config.minutes is None:
        return None, Deadline(MOST_MINUTES, _log)
    deadline = Deadline(config.minutes - seconds_after / 60)
    return deadline.plan(data, config), deadline


def _train(
    trainer: Trainer,
    output: "_CheckpointFile",
    report: Callable[[Epoch], None] | None,
    estimate: Estimate,
    deadline: Deadline | None,
) -> None:
    saved = -math.inf  # save after the first step, so that a disk that is full is an error at once
    bar = tqdm(total=trainer.total_steps, initial=trainer.step, unit="step", disable=is_hidden())
    speed = Speed(trainer)
    with Interruptible() as interrupt, bar:
        seen: list[Terms] = []
        while not trainer.is_finished:
            seen.append(trainer.update())
            bar.update()
            estimate.tell(trainer, speed)
            if deadline is not None:
                deadline.adjust(trainer, speed)
                bar.total = trainer.total_steps
            if trainer.is_end_of_epoch:
                epoch = _end_epoch(trainer, seen)
                seen = []
                bar.set_postfix_str(
                    f"loss {epoch.loss:.2f} = {epoch.reconstruction:.2f} + KL {epoch.kl:.2f}"
                )
                if report and distributed.rank() == 0:
                    report(epoch)
            interrupt.requested = distributed.agreed(interrupt.requested)
            if interrupt.requested or time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                output.save(trainer.checkpoint())
                saved = time.monotonic()
            interrupt.raise_if_requested()


def _end_epoch(trainer: Trainer, seen: list[Terms]) -> Epoch:
    means = torch.stack([torch.stack(terms) for terms in seen]).mean(0).tolist()
    loss = round(sum(means), 3)
    reconstruction = round(means[0], 3)
    kl = round(means[1], 3)
    trainer.facts |= {"loss": loss, "reconstruction": reconstruction, "kl": kl}
    held_out_loss = trainer.measure_held_out()
    if held_out_loss is not None:
        held_out_loss = round(held_out_loss, 3)
    return Epoch(trainer.epoch, trainer.epochs, loss, reconstruction, kl, held_out_loss)


def _finished(trainer: Trainer, data: ImageData, keep_bank: bool) -> Checkpoint:
    """The checkpoint without the state of the run, with its quality and its latents."""
    checkpoint = replace(trainer.checkpoint(), state={})
    network = checkpoint.build()
    measured_on = trainer.held_out.data if trainer.held_out else trainer.data
    training = {**checkpoint.spec.training, **network.measure_quality(measured_on)}
    latents = None
    if network.kind.samples:
        latents = fit_latents(
            network.encode,
            data,
            trainer.config.seed,
            weight_bytes=trainer.weight_bytes,
            keep_bank=keep_bank,
        )
    unit = measure_unit(network.encode, network.decode, network.kind, data)
    evidence = {**checkpoint.spec.evidence, **unit}
    spec = replace(checkpoint.spec, training=training, latents=latents, evidence=evidence)
    return replace(checkpoint, spec=spec)


def _description(trainer: Trainer) -> str:
    config = trainer.config
    given = f", given {len(trainer.data.classes)} classes" if config.conditional else ""
    moved = " distorted at random" if config.distort else ""
    epochs = trainer.total_steps / trainer.steps_per_epoch
    started = ", from the weights of other images (start)" if START in trainer.facts else ""
    return (
        f"training {config.network} with {config.latent_dim} latent dimensions{given}, beta "
        f"{config.beta:g}: "
        f"{trainer.total_steps:,} updates of {config.batch_size} images{moved}, {epochs:.3g} epochs"
        f"{started}"
    )


class _CheckpointFile:
    """The file that a run writes.

    Without `overwrite` it replaces only what it has read or written there itself.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path = path
        self._overwrite = overwrite
        self._known = identity(path)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write `checkpoint`, in the first rank.

        Raises:
            OutputExistsError: another process has written the file.
        """
        if distributed.rank() > 0:
            return
        if self._known is None:  # before the first save, when nothing is lost yet
            refuse_existing(self._path, self._overwrite)
        is_ours = self._known is not None and identity(self._path) == self._known
        save_checkpoint(checkpoint, self._path, overwrite=self._overwrite or is_ours)
        self._known = identity(self._path)
