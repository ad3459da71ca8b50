"""Going on with a run that was stopped or killed."""

import os
from pathlib import Path

from ..arguments import whole_number
from ..errors import InputError
from ..files import refuse_existing
from .checkpoint import Checkpoint, load_checkpoint
from .config import FitConfig
from .data.image_data import ImageData
from .starting import START, SUITED, Start, with_start
from .trainer import Trainer

SET_BY_MINUTES = ("updates", "epochs", "patience")


def load_unfinished(output: Path) -> Checkpoint | None:
    """The unfinished run at `output`, if there is one.

    Raises:
        OutputExistsError: a finished run is there.
    """
    if not output.exists():
        return None
    checkpoint = load_checkpoint(output)
    if checkpoint.is_finished:
        refuse_existing(output, overwrite=False)
    return checkpoint


def planned_updates(checkpoint: Checkpoint) -> int | None:
    """With how many updates a run without `FitConfig.epochs` goes on; None = as many as suit."""
    updates = checkpoint.spec.training.get("updates")
    return None if updates is None else whole_number("updates", updates, 1)


def resume(trainer: Trainer, checkpoint: Checkpoint, output: Path) -> None:
    """Continue `trainer` from `checkpoint`.

    Raises:
        InputError: it is of another config or other data.
    """
    changed = _changed_settings(trainer, checkpoint)
    if changed:
        raise InputError(
            f"{output} holds an unfinished run with other settings: {', '.join(changed)}. "
            "Give the same ones to resume it, or --overwrite (overwrite=True) to start anew."
        )
    trainer.resume(checkpoint)


def holds_same_run(
    output: str | os.PathLike[str],
    data: ImageData,
    config: FitConfig | None = None,
    start: Start | None = SUITED,
) -> bool:
    """Whether the checkpoint at `output`, finished or not, is of the same arguments of `fit`.

    Raises:
        NotFoundError: there is no file.
        ModelFormatError: it is no checkpoint.
    """
    config, started = with_start(config or FitConfig(), start, data)
    checkpoint = load_checkpoint(output)
    updates = planned_updates(checkpoint) if config.epochs is None else None
    return not _changed_settings(Trainer(data, config, updates, started), checkpoint)


def _changed_settings(trainer: Trainer, checkpoint: Checkpoint) -> list[str]:
    """What differs between a run and a checkpoint, one phrase per setting."""
    # Before there was `distort`, no run did.
    before = {"distort": False, **checkpoint.spec.training}
    now = {START: None, "minutes": None, **trainer.facts}
    changed = [key for key, value in now.items() if value != before.get(key)]
    if before.get("minutes") != trainer.facts.get("minutes"):
        changed = [key for key in changed if key not in SET_BY_MINUTES]
    return [f"{key} {before.get(key)!r}, now {now.get(key)!r}" for key in changed]
