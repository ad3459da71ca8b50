"""How many updates a budget of minutes holds, and how long a run takes."""

import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from . import distributed
from .config import FitConfig
from .data.image_data import ImageData
from .trainer import Trainer

# The speed is measured for so many seconds, or a twentieth of the budget if that is less.
MOST_SECONDS = 10.0
SHARE_TO_MEASURE = 0.05
UNMEASURED_UPDATES = 3  # the first ones are slower
FAR_AWAY = 10**6  # updates, for the schedules of a network that is only measured
ADJUSTMENTS = 10  # of the number of updates during a run
# The rest is for clusters of latents and the export.
SHARE_TO_TRAIN = 0.92
# Of the time for training on an image, for encoding it at the end.
SHARE_TO_ENCODE = 1 / 3
SECONDS_BEFORE_ESTIMATE = 3.0
SECONDS_WORTH_TELLING = 10.0
MOST_MINUTES = 30  # of a run that is given neither epochs nor minutes


class Deadline:
    """Ends a run after about so many minutes, on a machine that may get slower or faster.

    Under torchrun the slowest rank counts.

    Args:
        minutes: from now on.
        say: for a run that takes as many updates as planned unless they take longer: told when it
            is shortened. None = for one that takes as many as the minutes hold.
    """

    def __init__(self, minutes: float, say: Callable[[str], None] | None = None) -> None:
        self._seconds = 60 * minutes
        self._end = time.monotonic() + SHARE_TO_TRAIN * self._seconds
        self._say = say
        self._planned: int | None = None
        self._next_step = 0

    def plan(self, data: ImageData, config: FitConfig) -> int:
        """How many updates end in time, measured on a network that is thrown away."""
        trainer = Trainer(data, config, updates=FAR_AWAY)
        for _ in range(UNMEASURED_UPDATES):
            trainer.update()
        seconds = min(MOST_SECONDS, SHARE_TO_MEASURE * self._seconds)
        speed = Speed(trainer)
        is_measured = False
        while not is_measured:
            trainer.update()
            # All ranks take the same number of updates, as each waits for the others in each.
            is_measured = bool(distributed.agreed(int(speed.elapsed() >= seconds)))
        return self._updates_left(trainer, speed.seconds_per_update())

    def adjust(self, trainer: Trainer, speed: "Speed") -> None:
        """Change the number of updates of `trainer` now and then, at its speed so far."""
        if self._planned is None:
            self._planned = trainer.total_steps
            self._next_step = self._planned // ADJUSTMENTS
        if trainer.step < self._next_step or trainer.is_finished:
            return
        self._next_step += max(1, trainer.total_steps // ADJUSTMENTS)
        updates = trainer.step + self._updates_left(trainer, speed.seconds_per_update())
        if self._say is not None:
            updates = min(updates, self._planned)
            if updates < trainer.total_steps == self._planned:
                self._say(self._shortened(trainer, updates))
        if updates != trainer.total_steps:
            trainer.change_total_steps(updates)

    def seconds_left(self) -> float:
        """Of the time for training."""
        return self._end - time.monotonic()

    def _shortened(self, trainer: Trainer, updates: int) -> str:
        return (
            f"shortened to about {updates:,} updates, which end within {self._seconds / 60:g} "
            f"minutes; with --epochs {trainer.epochs} and --overwrite it makes all "
            f"{trainer.total_steps:,}"
        )

    def _updates_left(self, trainer: Trainer, seconds_per_update: float) -> int:
        updates = self.seconds_left() / seconds_per_update
        updates -= SHARE_TO_ENCODE * trainer.steps_per_epoch
        slowest = distributed.total(torch.tensor(max(1, int(updates))), dist.ReduceOp.MIN)
        return int(slowest)


class Speed:
    """How long the updates of a run take, measured since this was made."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._first_step = trainer.step
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since this was made."""
        return time.monotonic() - self._start

    def seconds_per_update(self) -> float:
        """The mean over the updates since then; there has to be one."""
        return self.elapsed() / (self._trainer.step - self._first_step)


class Estimate:
    """Says once, a little after the start, how long a run takes, which its deadline bounds."""

    def __init__(self, say: Callable[[str], None], deadline: Deadline | None = None) -> None:
        self._say = say
        self._deadline = deadline
        self._is_said = False

    def tell(self, trainer: Trainer, speed: Speed) -> None:
        """Say it, once it is known and if more is to come than is worth a line."""
        if self._is_said or speed.elapsed() < SECONDS_BEFORE_ESTIMATE:
            return
        self._is_said = True
        seconds_per_update = speed.seconds_per_update()
        seconds = (trainer.total_steps - trainer.step) * seconds_per_update
        if self._deadline is not None:
            seconds = min(seconds, self._deadline.seconds_left())
        if seconds < SECONDS_WORTH_TELLING:
            return
        hint = ""
        if seconds > 60 * MOST_MINUTES:
            hint = f"; with --minutes {MOST_MINUTES} and --overwrite it ends sooner"
        self._say(
            f"about {in_words(seconds)} of training are left, at {1 / seconds_per_update:.1f} "
            f"updates per second{hint}"
        )


def in_words(seconds: float) -> str:
    """A length of time, in minutes where there are some.

    >>> in_words(50), in_words(500), in_words(50_000)
    ('50 seconds', '8 minutes', '13.9 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
