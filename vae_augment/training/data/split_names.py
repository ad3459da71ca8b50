"""Splits of a source, such as train, val and test, whatever their names."""

import re
from collections.abc import Iterable

from ...errors import InputError
from .column_names import listed
from .options import ReadOptions, advice

_KINDS = {
    "train": re.compile("train(ing)?"),
    "val": re.compile("val(id|idation)?|dev"),
    "test": re.compile("test(ing)?|eval(uation)?"),
}
_MORE = re.compile(r"(?<=[a-z])[ _-]?(sets?|splits?|data|images?|imgs?)?[ _-]?\d*$")


def kind_of_split(name: str) -> str | None:
    """ "train", "val" or "test" for a name such as Training_set; None for another name."""
    word = _MORE.sub("", name.lower())
    return next((kind for kind, words in _KINDS.items() if words.fullmatch(word)), None)


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
        f"{where} has the splits {listed(map(repr, sorted(known)))}, of which none is clearly "
        f"{wanted!r}. Choose one: {advice('split', sorted(known)[0])}."
    )
