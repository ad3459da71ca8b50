"""`compare`: whether a VAE helps a classifier on the user's own images."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ..errors import InputError
from ..files import atomic_path
from ..generation.process_engine import default_workers
from ..training.data import StrPath
from .classifier import Distort, check_device, same
from .distortions import affine_elastic, flip_shift, thickness_affine_elastic
from .experiment import LABELLED, POOL, UPDATES, WITH_VAE, Group, Method, Run, run_groups
from .report import advise, detail_table
from .splits import Source, choose_labels
from .vaes import labelled_vae, pool_vae

# Settings of `VAEAugment`: those that it has by default, and those for few images.
DEFAULT = {"p": 0.5, "strength": 1.0, "residual": True}
STRONG = DEFAULT | {"strength": 3.0}


class Verdict(NamedTuple):
    """What `compare` gives."""

    runs: list[Run]
    table: str
    advice: str


def compare(
    data: StrPath,
    root: StrPath | None = None,
    *,
    labels_per_class: int | None = None,
    pool: bool = False,
    test: Sequence[StrPath] = (),
    draws: int = 3,
    seed: int = 0,
    updates: int = UPDATES,
    output: StrPath | None = None,
    workers: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Train a small classifier with and without a VAE, on the same draws of labels, and say whether it helps.

    >>> verdict = compare("photos", labels_per_class=20, output="results.json")  # photos/class/image.png
    >>> print(verdict.table, verdict.advice, sep="\\n")

    Args:
        data, root: labelled images, as for `load_data`.
        labels_per_class: how many labels are used, other ones in each draw; None = all.
        pool: train the VAE also on the images whose labels are not used, and on those that have none.
        test: folders or files with the images to test on; when empty, the test part of a named data set, or else a
            fifth of each class, chosen anew in each draw.
        draws: how often everything is repeated; a verdict needs at least two, and its interval is wide with two.
        seed: number of the first draw; other draws have other labels.
        updates: of each classifier, of 50 images.
        output: a JSON file for the runs; None writes none.
        workers: processes at once, each with one draw; None = as many as there are draws or cores.
        device: "cpu" or "cuda".
        say: called with a line on what will be done, before it starts.

    Returns:
        The runs, a table of accuracies in percent with paired differences and 95 % intervals, and advice.

    Raises:
        InputError: data without labels or with too few, a pool that would be empty, or a value out of range.
        VAEAugmentError: no data there, or a worker died.
    """
    for name, value in (("labels_per_class", labels_per_class), ("draws", draws), ("updates", updates)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")
    check_device(device)
    source = Source(os.fspath(data), None if root is None else os.fspath(root), tuple(os.fspath(path) for path in test))
    split = partial(choose_labels, per_class=labels_per_class, pool=pool)
    name = f"{labels_per_class or 'all'} labels" + (" + pool" if pool else "")
    methods, numbers = _methods(pool), range(seed, seed + draws)
    groups = [Group(name, source, number, split, methods, updates, device) for number in numbers]
    say(_work(groups, pool))
    found = run_groups(groups, min(draws, default_workers()) if workers is None else workers)
    bar = tqdm(found, total=draws * len(methods), unit="run", disable=None)
    runs = sorted(bar, key=lambda run: run.draw)
    if output is not None:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps({"runs": [asdict(run) for run in runs]}, indent=1) + "\n")
    return Verdict(runs, detail_table(runs), advise(runs))


def _methods(pool: bool) -> tuple[Method, ...]:
    """No augmentation, distortions, and the recommended settings of `VAEAugment` alone and after distortions."""
    vae, trained_on = (pool_vae, POOL) if pool else (labelled_vae, LABELLED)

    def after(distort: Distort, name: str, settings: Mapping[str, Any]) -> Method:
        return Method(name, distort, vae, settings, kind=WITH_VAE, trained_on=trained_on)

    return (
        Method("none"),
        Method("affine+elastic", affine_elastic),
        Method("thickness+affine+elastic", thickness_affine_elastic),
        Method("flip+shift", flip_shift),
        after(thickness_affine_elastic, "thickness+affine+elastic+VAE", DEFAULT),
        after(flip_shift, "flip+shift+VAE", DEFAULT),
        after(same, "strong VAE", STRONG),
        after(thickness_affine_elastic, "thickness+affine+elastic+strong VAE", STRONG),
        after(flip_shift, "flip+shift+strong VAE", STRONG),
    )


def _work(groups: Sequence[Group], pool: bool) -> str:
    """A line on what will be done; `InputError` where a draw cannot be made."""
    draw, data = groups[0].draw(), groups[0].source.data
    if pool and draw.pool is None:
        raise InputError(f"{data} leaves no images for a pool: all their labels are used. Leave out --pool.")
    return (
        f"{len(draw.labelled)} labelled images and {len(draw.test)} to test on; "
        f"{len(groups) * len(groups[0].methods)} classifiers of {draw.updates:,} updates and {len(groups)} VAEs"
    )
