"""What people bring, and what comes of it: run by the tests, and shown in docs/data.md."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_augment.errors import InputError
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.options import advice


@dataclass(frozen=True)
class Case:
    """One thing that `load_data` is given.

    `make` writes it into an empty folder and returns what is given to `load_data` with `options`.
    `images`, `labels` and `classes` are the right result. Where there is a `warning` or an `error`,
    a pattern of its text, `way` holds the options that the text advises, with which the same source
    is read without a word. `given` and `found` are words for the page.
    """

    given: str
    make: Callable[[Path], Any]
    found: str = "read"
    images: Any = None
    labels: Sequence[int] | None = None
    classes: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""
    error: str = ""
    way: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return self.given.replace("`", "").replace("\\", "")

    def check(self, folder: Path) -> None:
        """Read it, and compare the result; follow the advice where there is one."""
        source = self.make(folder)
        if self.error:
            with pytest.raises(InputError, match=self.error) as caught:
                load_data(source, **self.options)
            text = str(caught.value)
        elif self.warning:
            with pytest.warns(UserWarning, match=self.warning) as warned:
                found = load_data(source, **self.options)
            text = " ".join(str(one.message) for one in warned)
            if self.way is None:
                self.compare(found)
        else:
            self.compare(load_data(source, **self.options))
            return
        assert text.count("\n") < 3
        if self.way is not None:
            for name, value in self.way.items():
                assert advice(name, value) in text
            self.compare(load_data(source, **{**self.options, **self.way}))

    def compare(self, found: ImageData) -> None:
        """Compare what was read with the right result."""
        if self.images is not None:
            assert found.images.shape == np.shape(self.images)
            np.testing.assert_array_equal(found.images.numpy(), self.images)
        if self.labels is not None:
            assert found.labels.tolist() == list(self.labels)
        if self.classes is not None:
            assert found.classes == tuple(self.classes)

    def row(self) -> str:
        """The row of the page's table."""
        options = ", ".join(f"`{name}={value!r}`" for name, value in self.options.items())
        given = f"{self.given}, {options}" if options else self.given
        way = " ".join(f"`{name}={value!r}`" for name, value in (self.way or {}).items())
        if self.error:
            result = f"refused; {way}: {self.found}" if way else "refused"
        elif self.warning and way:
            result = f"a warning; {way}: {self.found}"
        else:
            result = f"{self.found}, with a warning" if self.warning else self.found
        return f"| {given} | {result} |"


def table(cases: Sequence[Case]) -> str:
    """The table of a list of cases."""
    return "\n".join(["| given | result |", "|---|---|", *(case.row() for case in cases)])


def filled(page: str, cases: Mapping[str, Sequence[Case]]) -> str:
    """The page with the table of each list between its marks."""
    block = re.compile(r"(<!-- cases of ([\w ]+) -->\n).*?(<!-- end -->)", re.S)
    return block.sub(lambda found: f"{found[1]}\n{table(cases[found[2]])}\n\n{found[3]}", page)
