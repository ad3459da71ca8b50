"""Tell a dataset of each pass that a DataLoader makes through it.

Trainers of other libraries call no `set_epoch` of datasets, and a dataset itself sees only indices,
in processes that may be new. So the iterators of torch's loaders, each start of which is one pass,
tell the datasets that have the methods `begin_pass` and `serve_pass`. They do nothing else anew.
"""

import functools
import warnings
from typing import Any

from torch.utils.data import dataloader

from .wrappers import all_datasets

_BEGUN = "_vae_augment_passes"  # the attribute of an iterator with its datasets and their numbers


def _begin(iterator: Any, loader: Any) -> None:
    datasets = all_datasets(getattr(loader, "dataset", None))
    counting = [dataset for dataset in datasets if hasattr(type(dataset), "begin_pass")]
    setattr(iterator, _BEGUN, [(dataset, dataset.begin_pass(loader)) for dataset in counting])


def _install() -> None:
    # Not public, but the same in all versions of torch with persistent workers
    iterators: Any = getattr(dataloader, "_BaseDataLoaderIter", None)
    if iterators is None:
        warnings.warn(
            "This version of torch does not let datasets know of a new epoch. Call their set_epoch "
            "before each one.",
            stacklevel=2,
        )
        return
    start = iterators.__init__
    restart = iterators._reset
    following = iterators.__next__

    @functools.wraps(start)
    def begin_and_start(self: Any, loader: Any, *arguments: Any) -> None:
        _begin(self, loader)
        start(self, loader, *arguments)

    @functools.wraps(restart)
    def begin_and_restart(self: Any, loader: Any, first_iter: bool = False) -> None:
        if not first_iter:  # persistent workers start another pass
            _begin(self, loader)
        restart(self, loader, first_iter)

    @functools.wraps(following)
    def serve_next(self: Any) -> Any:
        # Several loaders may take turns.
        for dataset, number in getattr(self, _BEGUN, ()):
            dataset.serve_pass(number)
        return following(self)

    iterators.__init__ = begin_and_start
    iterators._reset = begin_and_restart
    iterators.__next__ = serve_next


_install()
