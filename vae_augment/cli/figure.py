"""The end of `fit`: what the file's samples teach a classifier, and what the file gives away."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from . import options

if TYPE_CHECKING:
    from ..training import FitConfig, ImageData

# A smaller budget of `fit` gets a smaller share of the classifiers' updates and the audit's images.
MINUTES_FOR_ALL = 10
FEWEST_UPDATES = 100
FEWEST_AUDITED = 500
WAYS_OUT = (
    "More images per class give less away, and --epsilon bounds it; vae-augment audit --plot draws "
    "the closest pairs"
)


class FigureSplit(NamedTuple):
    """Images to train on, and those to measure the file on; None = it is not measured."""

    train: "ImageData"
    test: "ImageData | None"


def is_sampled_by_class(config: "FitConfig", images: "ImageData") -> bool:
    """Whether the model will draw labelled images, from which a classifier can learn."""
    return len(images.classes) > 1 and config.samples


def figure_split(
    images: "ImageData",
    data: str,
    test: str | None,
    *,
    root: Path | None,
    read: list[str] | None,
    seed: int,
) -> FigureSplit:
    """The images of --test, those of a named data set's test part, or up to a fifth of `images`."""
    from ..errors import NotFoundError
    from ..evaluation.samples_only import FEWEST_KEPT, keep_for_test
    from ..evaluation.splits import joined_test_images
    from ..training import load_data
    from ..training.data.named import NAMED

    reading = {name: value for name, value in options.reading(read).items() if name != "split"}
    if test is not None:
        given = load_data(test, root, train=False, **reading)
        return FigureSplit(images, joined_test_images([given], images))
    if data in NAMED:
        try:
            part = load_data(data, root, train=False, **reading)
            return FigureSplit(images, joined_test_images([part], images))
        except NotFoundError:
            _say(f"the test images of {data} are not there, so some training images stand in")
    kept = keep_for_test(images, seed)
    if kept is None:
        _say(
            "no figure of what its samples teach, and no audit of what it gives away: fewer than "
            f"{FEWEST_KEPT} of the images could be kept for them. Give --test DATA for both."
        )
        return FigureSplit(images, None)
    _say(
        f"{len(kept.test)} of the images are kept out of training, for a figure of what its "
        "samples teach and an audit of what it gives away; --no-check trains on all"
    )
    return FigureSplit(kept.train, kept.test)


def measure(path: Path, train: "ImageData", test: "ImageData", config: "FitConfig") -> list[str]:
    """Measure the file at `path`, write what is found into it, and say it in lines."""
    taught = _add_figure(path, train, test, config)
    given_away = _add_audit(path, train, test, config)
    return ["Its samples:", *taught, "", "What it gives away:", *given_away]


def _add_figure(
    path: Path, train: "ImageData", test: "ImageData", config: "FitConfig"
) -> list[str]:
    from .. import load
    from ..evaluation.samples_only import UPDATES, measure_samples_only
    from ..model.evidence import SAMPLES_ONLY, add_evidence
    from ..privacy.words import samples_only_in_words

    updates = max(FEWEST_UPDATES, round(_share(config) * UPDATES))
    model = load(path, provider="cpu")
    entry = measure_samples_only(model, train, test, updates=updates).to_evidence()
    add_evidence(path, model.file.content, model.spec, {SAMPLES_ONLY: entry})
    return samples_only_in_words(entry)


def _add_audit(path: Path, train: "ImageData", test: "ImageData", config: "FitConfig") -> list[str]:
    from .. import load
    from ..errors import InputError
    from ..evaluation.samples_only import FEWEST_KEPT
    from ..privacy.audit import MOST, audit, store
    from ..privacy.words import audit_in_words
    from ..training.data.reducing import affordable

    wanted = affordable(train.images, round(_share(config) * MOST))
    model = load(path, provider="cpu")
    try:
        result = audit(model, train, test, most=min(MOST, max(FEWEST_AUDITED, wanted)))
    except InputError as error:  # such as test images that are all training images too
        return [f"not measured: {error}"]
    if result.test < FEWEST_KEPT:
        return [
            f"not measured: only {result.test} of the images kept for it are not among the "
            "training images too"
        ]
    lines = audit_in_words(store(result, model))
    return [*lines, WAYS_OUT] if result.findings else lines


def _share(config: "FitConfig") -> float:
    return 1.0 if config.minutes is None else min(1.0, config.minutes / MINUTES_FOR_ALL)


def _say(text: str) -> None:
    from ..training import distributed

    if distributed.rank() == 0:
        typer.echo(text)
