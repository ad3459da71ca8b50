"""Tell a dataset when a DataLoader starts to go through it.

Trainers of other libraries call no `set_epoch` of datasets, and a dataset itself sees only indices,
in processes that may be new. So the iterators of torch's loaders, each start of which is one pass,
announce themselves to the datasets that have a method `begin_pass`. They do nothing else anew.
"""

import functools
import warnings
from typing import Any

from torch.utils.data import dataloader

from .wrappers import all_datasets


def announce(loader: Any) -> None:
    """Call `begin_pass(loader)` of the loader's dataset, and of those inside it, that have it."""
    for dataset in all_datasets(getattr(loader, "dataset", None)):
        begin_pass = getattr(type(dataset), "begin_pass", None)
        if begin_pass is not None:
            begin_pass(dataset, loader)


def _install() -> None:
    # Not public, but the same in all versions of torch with persistent workers
    iterator: Any = getattr(dataloader, "_BaseDataLoaderIter", None)
    if iterator is None:
        warnings.warn(
            "This version of torch does not let datasets know of a new epoch. Call their set_epoch "
            "before each one.",
            stacklevel=2,
        )
        return
    start = iterator.__init__
    restart = iterator._reset

    @functools.wraps(start)
    def announced_start(self: Any, loader: Any, *arguments: Any) -> None:
        announce(loader)
        start(self, loader, *arguments)

    @functools.wraps(restart)
    def announced_restart(self: Any, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:  # persistent workers start another pass
            announce(loader)
        restart(self, loader, first_iter)

    iterator.__init__ = announced_start
    iterator._reset = announced_restart


_install()
