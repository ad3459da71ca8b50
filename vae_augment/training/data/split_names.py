"""Splits of a source, such as train, val and test, whatever their names."""

from collections.abc import Iterable

from ...errors import InputError
from .column_names import listed
from .options import ReadOptions, advice

_KINDS = {
    "train": {"train", "training", "trainset", "train_set"},
    "val": {"val", "valid", "validation", "validate", "dev"},
    "test": {"test", "testing", "testset", "test_set", "eval", "evaluation"},
}


def kind_of_split(name: str) -> str | None:
    """ "train", "val" or "test" for the name of a split; None for another name."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    return next((kind for kind, names in _KINDS.items() if plain in names), None)


def choose_split(names: Iterable[str], options: ReadOptions, where: object) -> str:
    """The one of the splits `names` that was asked for; `InputError` that lists them if none is."""
    known = list(names)
    wanted = options.split or ("train" if options.train else "test")
    if wanted in known:
        return wanted
    kind = kind_of_split(wanted)
    alike = [name for name in known if kind is not None and kind_of_split(name) == kind]
    if len(alike) == 1:
        return alike[0]
    raise InputError(
        f"{where} has the splits {listed(map(repr, sorted(known)))}; which one {wanted!r} means is "
        f"not clear. Choose one: {advice('split', sorted(known)[0])}."
    )
