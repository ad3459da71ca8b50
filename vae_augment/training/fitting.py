"""`fit`: a whole training run, saved as it goes and resumed where it stopped."""

import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from ..errors import InputError, ModelFormatError
from ..files import check_folder, identity, refuse_existing
from ..model.spec import MAX_NAME, refused_names
from ..processes import Interruptible
from . import distributed
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .config import FitConfig
from .data.image_data import ImageData
from .data.value_range import darkness
from .latent_distribution import fit_latents, room_per_class
from .networks import find_network
from .networks.base import Terms
from .trainer import Trainer

SECONDS_BETWEEN_SAVES = 10.0
CHARACTERS_TO_COME = 500  # by about so much the training facts grow until the end of a run


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
    say: Callable[[str], None] = lambda text: None,
) -> Checkpoint:
    """Train a VAE and write it to `output` (.safetensors), replaced atomically as training goes on.

    The same call again resumes a run that was interrupted or killed. Under `torchrun` the ranks
    share each batch, and the first one writes.

    Args:
        data: the images, as `load_data` reads them; label -1 = unknown.
        output: the file to write.
        config: the settings; None = those of `FitConfig()`.
        keep_bank: keep latents of training images, as `fit_latents` says.
        overwrite: replace what is at `output`.
        report: called after each epoch, in the first rank only.
        say: called with a line that names the epoch in which a resumed run goes on.

    Returns:
        The finished checkpoint, with the distribution of the latents that generation samples from.
        Its `spec.training` holds how good the network is, on the held-out images if there are any;
        `describe_quality` says it in words.

    Raises:
        OutputExistsError: `output` holds a finished checkpoint, or another process wrote it in the
            meantime; the message then says where the state of this run is.
        NotFoundError: there is no folder for `output`.
        InputError: `output` holds an unfinished run of another config or other data, or is a
            folder; or `export` would refuse the model.
        VAEAugmentError: the loss is not finite.
        KeyboardInterrupt: after Ctrl-C, once the state is saved; a second Ctrl-C does not wait for
            that.
    """
    config = config or FitConfig()
    _check_classes(data, config)
    _check_images(data, config)
    file = _CheckpointFile(Path(output), overwrite)
    with distributed.process_group(config.device):
        if distributed.rank() == 0:
            check_folder(output)
        trainer = Trainer(data, config)
        _check_exportable(trainer)
        if Path(output).exists() and not overwrite:
            _resume(trainer, Path(output))
            number = min(trainer.epoch + 1, trainer.epochs)
            say(f"resuming {output} in epoch {number}/{trainer.epochs}")
        _train(trainer, file, report)
        finished = _finished(trainer, data, keep_bank)
        file.save(finished)
    return finished


def _check_classes(data: ImageData, config: FitConfig) -> None:
    if config.conditional and not data.classes:
        raise InputError(
            f"{data.name} has no labels, which a conditional model needs. Leave out --conditional."
        )
    if config.conditional and len(data.classes) == 1:
        raise InputError(
            f"{data.name} has one class, {data.classes[0]!r}; a conditional model needs at least "
            "two. Leave out --conditional, or give a folder with one folder per class."
        )


def _check_images(data: ImageData, config: FitConfig) -> None:
    """Refuse classes without images, which generation would make images of; warn of dark images."""
    empty = data.empty_classes()
    if empty and not find_network(config.network).network.learns_from_pairs:
        raise InputError(
            f"{data.name} has no image of the class {str(empty[0])[:250]!r}, but images of it would "
            "be generated. Give data.without_empty_classes(), which numbers the others anew."
        )
    found = darkness(data.images.numpy())
    if found and distributed.rank() == 0:
        warnings.warn(
            f"{data.name}: {found}; a VAE learns little from that. Scale them to 0..255, as by "
            "load_data(..., value_range=(LOWEST, HIGHEST)).",
            stacklevel=3,
        )


def _check_exportable(trainer: Trainer) -> None:
    spec = trainer.checkpoint().spec
    room_per_class(len(spec.classes), spec.latent_dim, trainer.weight_bytes)
    names = refused_names(spec.classes)
    if names:
        raise InputError(
            f"{trainer.data.name} has the class {str(names[0])[:250]!r}, which a model file "
            f"cannot hold. Class names differ, and have at most {MAX_NAME} characters, without "
            "line breaks and no-break spaces. Rename it."
        )
    to_come = {"results": " " * CHARACTERS_TO_COME}
    try:
        replace(spec, training={**spec.training, **to_come}).check()
    except ModelFormatError as error:
        raise InputError(
            f"A model of {trainer.data.name} with these settings could not be exported: {error} "
            "Use fewer classes, shorter class names, smaller images or a smaller latent."
        ) from None


def _resume(trainer: Trainer, output: Path) -> None:
    checkpoint = load_checkpoint(output)
    if checkpoint.is_finished:
        refuse_existing(output, overwrite=False)
    before = checkpoint.spec.training
    changed = [
        f"{key} {before.get(key)!r}, now {value!r}"
        for key, value in trainer.facts.items()
        if value != before.get(key)
    ]
    if changed:
        raise InputError(
            f"{output} holds an unfinished run with other settings: {', '.join(changed)}. "
            "Give the same ones to resume it, or --overwrite (overwrite=True) to start anew."
        )
    trainer.resume(checkpoint)


def _train(
    trainer: Trainer, output: "_CheckpointFile", report: Callable[[Epoch], None] | None
) -> None:
    saved = -math.inf  # save after the first step, so that a disk that is full is an error at once
    is_hidden = None if distributed.rank() == 0 else True  # None hides the bar unless on a terminal
    bar = tqdm(total=trainer.total_steps, initial=trainer.step, unit="step", disable=is_hidden)
    with Interruptible() as interrupt, bar:
        seen: list[Terms] = []
        while not trainer.is_finished:
            seen.append(trainer.update())
            bar.update()
            if trainer.step % trainer.steps_per_epoch == 0:
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
    if not network.learns_from_pairs:
        latents = fit_latents(
            network.encode,
            data,
            trainer.config.seed,
            weight_bytes=trainer.weight_bytes,
            keep_bank=keep_bank,
        )
    spec = replace(checkpoint.spec, training=training, latents=latents)
    return replace(checkpoint, spec=spec)


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
