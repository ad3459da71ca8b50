"""The JSON file of the study.

One record per trained classifier, saved after each, from which a study is resumed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vae_augment.errors import InputError
from vae_augment.evaluation.experiment import Run
from vae_augment.files import atomic_path

from .draws import KINDS, TRAINED_ON

HEAD = ("command", "cpu", "cores", "threads", "python", "versions", "settings")
Key = tuple[str, str, str, int]


def key_of(run: Run) -> Key:
    """What two runs of the same thing have in common: regime, data, method and draw."""
    return run.regime, run.data, run.method, run.draw


class Results:
    """The runs so far, and the file they are kept in.

    Args:
        path: of the file, which is continued if it exists; None keeps nothing.
        facts: the command and the machine, as JSON-ready values.
        settings: what all runs of a file must share.

    Raises:
        InputError: `path` is no such file, or its runs were made with other settings or versions.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        facts: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self.path = None if path is None else Path(path)
        self.head = {**facts, "settings": dict(settings)}
        self.runs: list[Run] = []
        if self.path is not None and self.path.exists():
            there = read_results(self.path)
            _check_same(self.path, there, self.head)
            self.runs = runs_of(there)

    def __contains__(self, key: Key) -> bool:
        return any(key_of(run) == key for run in self.runs)

    def add(self, run: Run) -> None:
        """Add one run and save the file, atomically."""
        self.runs.append(run)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.path) as temporary:
                temporary.write_text(as_json(self.content))

    @property
    def content(self) -> dict[str, Any]:
        """What the file holds."""
        return self.head | {"runs": [run.facts() for run in self.runs]}


def as_json(content: Mapping[str, Any]) -> str:
    """The text of a file.

    One line per run, so that two versions of a file can be compared by eye.
    """
    head = json.dumps({name: value for name, value in content.items() if name != "runs"}, indent=1)
    runs = ",\n".join(f"  {json.dumps(run)}" for run in content["runs"])
    return f'{head[:-2]},\n "runs": [\n{runs}\n ]\n}}\n'


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The checked content of a file; `InputError` when it is not a result file."""
    try:
        content = json.loads(Path(path).read_text())
        check_results(content)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} does not hold the results of a comparison: {error} Give another file, or "
            "remove it."
        ) from None
    return dict(content)


def runs_of(content: Mapping[str, Any]) -> list[Run]:
    """The runs that a checked content holds."""
    return [Run(**run) for run in content["runs"]]


def check_results(content: Any) -> None:
    """Raise `ValueError` unless `content` says what was measured and on what, and every run is complete and unique."""
    if not isinstance(content, dict):
        raise ValueError("It is not a JSON object.")
    missing = [name for name in (*HEAD, "runs") if name not in content]
    if missing:
        raise ValueError(f"It does not say: {', '.join(missing)}.")
    seen: set[Key] = set()
    for entry in content["runs"]:
        run = _checked_run(entry)
        if key_of(run) in seen:
            raise ValueError(f"There are two runs of {key_of(run)}.")
        seen.add(key_of(run))


def _checked_run(entry: Any) -> Run:
    types = {field.name: field.type for field in fields(Run) if field.name != "correct"}
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != types:
        raise ValueError(f"This run is not whole: {entry}.")
    run = Run(**entry)
    if run.kind not in KINDS or run.trained_on not in TRAINED_ON:
        raise ValueError(f"The method of this run is of no known kind: {entry}.")
    if not (0 <= run.accuracy <= 100 and run.updates >= 1 and run.draw >= 0 and run.seconds >= 0):
        raise ValueError(f"A number of this run is out of range: {entry}.")
    return run


def _check_same(path: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        f"{name} {old!r}, now {new!r}"
        for part in ("settings", "versions")
        for name in sorted(there[part].keys() | now[part].keys())
        if (old := there[part].get(name)) != (new := now[part].get(name))
    ]
    if changed:
        raise InputError(
            f"{path} holds runs made with other settings: {', '.join(changed)}. They must not be "
            "mixed: give the same settings to go on, or another output file."
        )
