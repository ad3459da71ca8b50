"""Where progress bars are shown: on a terminal and in a notebook, in the first rank."""

from tqdm.auto import tqdm

from . import distributed

IS_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)


def is_hidden() -> bool | None:
    """For tqdm's `disable`; its None stands for "unless on a terminal", which no notebook is."""
    if distributed.rank() > 0:
        return True
    return False if IS_NOTEBOOK else None
