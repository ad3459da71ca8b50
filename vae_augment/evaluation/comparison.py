"""`compare`: whether a VAE helps a classifier on the user's own images."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torchvision.transforms import v2
from tqdm import tqdm

from ..arguments import check_seed, whole_number
from ..errors import InputError
from ..files import atomic_path, check_folder
from ..model.vae_model import VAEModel, load
from ..processes import default_workers
from ..training.data import StrPath
from ..training.half_precision import check_device
from ..transforms.augment import VAEAugment
from ..transforms.distortions import (
    affine_elastic,
    flip_shift,
    one_by_one,
    thickness_affine_elastic,
)
from .classifier import identity
from .experiment import GIVEN, LABELLED, POOL, UPDATES, WITH_VAE, Group, Method, Run, run_groups
from .report import advise, detail_table
from .splits import Source, choose_labels
from .vaes import given_vae, labelled_vae, pool_vae

Settings = Mapping[str, Any]  # of `VAEAugment`; those for few images are `STRONG`
STRONG: Settings = {"strength": 3.0}

# What comes before `VAEAugment`: the beginning of the method's name, the distortion, and the same
# in words.
PLACES = (
    ("", identity, "and no other augmentation"),
    (
        "thickness+affine+elastic+",
        thickness_affine_elastic,
        "after thickness, affine and elastic distortion",
    ),
    ("flip+shift+", flip_shift, "after mirroring and shifting"),
)
GLYPHS = Method(
    "glyphs+thickness+affine+elastic",
    thickness_affine_elastic,
    partial(given_vae, "glyphs"),
    vae_is_first=True,
    kind=WITH_VAE,
    trained_on=GIVEN,
    use='VAEAugment("glyphs") before thickness, affine and elastic distortion',
)


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
    model: StrPath | None = None,
    settings: Settings | None = None,
    test: Sequence[StrPath] = (),
    draws: int = 3,
    seed: int = 0,
    updates: int = UPDATES,
    output: StrPath | None = None,
    workers: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda text: None,
    reading: Mapping[str, Any] | None = None,
) -> Verdict:
    """Train a small classifier with and without a VAE, on the same draws of labels, and say whether it helps.

    >>> verdict = compare("photos", labels_per_class=20, output="results.json")  # photos/class/image.png
    >>> print(verdict.table, verdict.advice, sep="\\n")

    Args: data, root: labelled images, as for `load_data`. labels_per_class: how many labels are
        used, other ones in each draw; None = all. pool: train the VAE also on the images whose
        labels are not used, and on those that have none. model: a bundled name or an .onnx file to
        try; None = a VAE is trained on the images of each draw. It should not
            have seen the test images.
        settings: arguments of `VAEAugment` to try, such as {"strength": 2.0, "p": 1.0}, in place of
            the two recommended settings; those that are left out have their defaults.
        test: folders or files with the images to test on; when empty, the test part of a named data
            set, or else a fifth of each class, chosen anew in each draw.
        draws: how often everything is repeated; a verdict needs at least two, and its interval is
            wide with two.
        seed: number of the first draw; other draws have other labels.
        updates: of each classifier, of 50 images.
        output: a JSON file for the runs; None writes none.
        workers: processes at once, each with one draw; None = as many as there are draws or cores.
        device: "cpu" or "cuda".
        say: called with a line on what will be done, before it starts.
        reading: further keyword arguments of `load_data`, such as {"background": "black"}.

    Returns: The runs, a table of accuracies in percent with paired differences and 95 % intervals,
        and advice.

    Raises: InputError: data without labels or with too few, a pool that would be empty, or a value
        out of range. VAEAugmentError: no data there, or a worker died.
    """
    for name, value in (("draws", draws), ("updates", updates)):
        whole_number(
            name, value, 1, 17
        )  # more of them would take days, and their lists much memory
    if labels_per_class is not None:
        whole_number("labels_per_class", labels_per_class, 1)
    numbers = range(check_seed(seed), check_seed(seed + draws - 1) + 1)
    check_device(device)
    if output is not None:
        check_folder(output)
    source = Source(
        os.fspath(data),
        None if root is None else os.fspath(root),
        tuple(os.fspath(path) for path in test),
        reading or {},
    )
    split = partial(choose_labels, per_class=labels_per_class, pool=pool)
    name = f"{labels_per_class or 'all'} labels" + (" + pool" if pool else "")
    given = None if model is None else load(model, provider="cpu")
    images, _ = source.load(numbers[0])
    methods = _methods(pool, model, settings, images.image_shape, given.sha256 if given else None)
    groups = [Group(name, source, number, split, methods, updates, device) for number in numbers]
    say(_work(groups, pool, given, settings))
    found = run_groups(groups, min(draws, default_workers()) if workers is None else workers)
    runs = sorted(
        tqdm(found, total=draws * len(methods), unit="run", disable=None), key=lambda run: run.draw
    )
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(
                json.dumps({"runs": [run.facts() for run in runs]}, indent=1) + "\n"
            )
    return Verdict(
        runs, detail_table(runs), advise(runs, {method.name: method.use for method in methods})
    )


def _methods(
    pool: bool,
    model: StrPath | None,
    settings: Settings | None,
    image_shape: tuple[int, ...],
    sha256: str | None,
) -> tuple[Method, ...]:
    """No augmentation, distortions, and `VAEAugment` alone and after distortions."""
    vae, trained_on = (pool_vae, POOL) if pool else (labelled_vae, LABELLED)
    if model is not None:
        vae = partial(given_vae, os.fspath(model), sha256=sha256)
        trained_on = GIVEN
    written = "MODEL" if model is None else repr(os.fspath(model))
    tried = {"": {}, "strong ": STRONG} if settings is None else {"": settings}
    found = []
    for strength, chosen in tried.items():
        arguments = "".join(f", {key}={value}" for key, value in chosen.items())
        for place, distort, words in PLACES:
            name = f"{place}{strength}VAE"
            use = f"VAEAugment({written}{arguments}) {words}"
            found.append(
                Method(name, distort, vae, chosen, kind=WITH_VAE, trained_on=trained_on, use=use)
            )
    if (
        model is None
        and settings is None
        and image_shape == load("glyphs", provider="cpu").spec.image_shape
    ):
        found.append(GLYPHS)
    return (
        Method("none"),
        Method("affine+elastic", affine_elastic),
        Method("thickness+affine+elastic", thickness_affine_elastic),
        Method("flip+shift", flip_shift),
        Method("TrivialAugmentWide", partial(one_by_one, v2.TrivialAugmentWide())),
        *found,
    )


def _work(
    groups: Sequence[Group], pool: bool, given: VAEModel | None, settings: Settings | None
) -> str:
    """A line on what will be done.

    `InputError` where a draw cannot be made, or a model or setting not be used.
    """
    draw = groups[0].draw()
    data = groups[0].source.data
    if pool and draw.pool is None:
        raise InputError(
            f"{data} leaves no images for a pool: all their labels are used. Leave out --pool."
        )
    # Before anything is trained; what is still to be trained takes the same settings as a bundled
    # model.
    perturb = VAEAugment(given or load("mnist", provider="cpu"), **settings or {})
    if given and given.spec.image_shape != draw.labelled.image_shape:
        raise InputError(
            f"The model {given.name} takes images of shape {given.spec.image_shape}; those of "
            f"{data} have {draw.labelled.image_shape}. Leave the model out, and one is trained on "
            "them, or resize them."
        )
    perturb(draw.labelled.images[:1000] if given else torch.zeros(perturb.model.spec.image_shape))
    trained = "no VAE" if given else f"{len(groups)} VAEs"
    return (
        f"{len(draw.labelled)} labelled images and {len(draw.test)} to test on; "
        f"{len(groups) * len(groups[0].methods)} classifiers of {draw.updates:,} updates and "
        f"{trained} to train"
    )
