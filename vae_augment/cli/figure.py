"""The figure at the end of `fit`: what a classifier learns from the file's samples alone."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from . import options

if TYPE_CHECKING:
    from ..training import FitConfig, ImageData

MINUTES_FOR_ALL = 10  # a smaller budget of `fit` gets a smaller share of the classifiers' updates
FEWEST_UPDATES = 100


class FigureSplit(NamedTuple):
    """Images to train on, and those that the figure is measured on; None = there is no figure."""

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
            f"no figure of what its samples teach: fewer than {FEWEST_KEPT} of the images could be "
            "kept for it. Give --test DATA for one."
        )
        return FigureSplit(images, None)
    _say(
        f"{len(kept.test)} of the images are kept out of training, for a figure of what its "
        "samples teach; --no-check trains on all"
    )
    return FigureSplit(kept.train, kept.test)


def add_figure(path: Path, train: "ImageData", test: "ImageData", config: "FitConfig") -> list[str]:
    """Measure the file at `path`, write the figure into it, and say it in lines."""
    from .. import load
    from ..evaluation.samples_only import UPDATES, measure_samples_only
    from ..model.evidence import SAMPLES_ONLY, add_evidence
    from ..privacy.words import samples_only_in_words

    updates = UPDATES
    if config.minutes is not None:
        share = min(1.0, config.minutes / MINUTES_FOR_ALL)
        updates = max(FEWEST_UPDATES, round(share * UPDATES))
    model = load(path, provider="cpu")
    entry = measure_samples_only(model, train, test, updates=updates).to_evidence()
    add_evidence(path, model.file.content, model.spec, {SAMPLES_ONLY: entry})
    return samples_only_in_words(entry)


def _say(text: str) -> None:
    from ..training import distributed

    if distributed.rank() == 0:
        typer.echo(text)
