"""The parts of a checked graph, run by onnxruntime.

Sessions are opened on first use, once per process, and are never pickled. A forked child keeps the
sessions that it inherits but never uses or destroys them: the destructor would wait for threads
that do not exist in the child (microsoft/onnxruntime pull request 31961).
"""

import math
import os
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, ModelFormatError
from ..noise import Stream, normals
from .file import MAX_BATCH, ModelFile
from .pixels import is_finite
from .sessions import TranslatedErrors, open_session, run_session
from .spec import Spec, part_interface

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PARTS = ("whole", "encoder", "decoder")  # those that every model has
# What a probe gives as input
_FILLS = ("zeros", "ones", "random")
# Rounding may take images outside [0, 1] by this much
_TOLERANCE = 1e-3
_inherited_sessions: list[Any] = []
_graphs: "weakref.WeakSet[Graph]" = weakref.WeakSet()


def _set_inherited_sessions_aside() -> None:
    for graph in list(_graphs):
        _inherited_sessions.append(graph.sessions)
        graph.sessions = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_set_inherited_sessions_aside)


class Graph:
    """The graph of a checked file, in three parts that run on their own."""

    def __init__(
        self, file: ModelFile, providers: list[Any], threads: int | None, *, strict: bool
    ) -> None:
        """Args: as for `open_session`."""
        self.file = file
        self.sessions: dict[str, InferenceSession] = {}
        self._providers = providers
        self._threads = threads
        self._is_strict = strict
        self._translated = TranslatedErrors(f"{file.path} fails when run")
        self._rows = {part: _row_shapes(part, file.spec) for part in (*PARTS, "residual")}
        _graphs.add(self)

    def run(self, part: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Run a part once, on inputs that nothing checks.

        The part is one of `PARTS` or, for a model that draws samples, "residual".

        Raises:
            InputError: more rows than the file was checked for.
            ModelFormatError: the results are not finite.
        """
        session = self.sessions.get(part) or self._session(part)
        return self._run(session, part, inputs)

    def probe(self) -> None:
        """Run every part on black, white and random images.

        `ModelFormatError` where results are not as declared.
        """
        for part in PARTS:
            self._session(part)

    def _run(
        self, session: "InferenceSession", part: str, inputs: Mapping[str, Tensor]
    ) -> list[Tensor]:
        count = len(next(iter(inputs.values())))
        if count > MAX_BATCH:
            raise InputError(
                f"{count} images are given at once; the model was checked for at most {MAX_BATCH}."
            )
        rows = self._rows[part]
        with self._translated:
            results = run_session(session, inputs, rows)
        for name, result in zip(rows, results, strict=True):
            if not is_finite(result):
                raise ModelFormatError(
                    f"{self.file.path}: {name} came out with values that are not finite (NaN or "
                    "infinity). The inputs are far outside those of the training, or the model is "
                    "damaged."
                )
        return results

    def _session(self, part: str) -> "InferenceSession":
        if part not in self.sessions:
            content = self.file.part(part)
            session = open_session(content, self._providers, self._threads, strict=self._is_strict)
            for fill in _FILLS:
                self._probe(session, part, fill)
            self.sessions[part] = session
        return self.sessions[part]

    def _probe(self, session: "InferenceSession", part: str, fill: str) -> None:
        """Run two images; "random" are always the same ones, with normal noise of strength 1."""
        inputs, outputs = part_interface(part, self.file.spec)
        given = {name: _probe_input(name, fill, self.file.spec) for name in inputs}
        for name, output in zip(outputs, self._run(session, part, given), strict=True):
            found = tuple(output.shape)
            shape = (2, *_row_shape(name, self.file.spec))
            if found != shape:
                raise ModelFormatError(
                    f"{self.file.path}: {name} came out as {found}, expected finite {shape}."
                )
            is_in_range = output.min() >= -_TOLERANCE and output.max() <= 1 + _TOLERANCE
            if name == "augmented" and not is_in_range:
                raise ModelFormatError(f"{self.file.path}: its images have values outside [0, 1].")


def _probe_input(name: str, fill: str, spec: Spec) -> Tensor:
    if name == "label":
        labels = [-1, -1] if fill == "zeros" else [0, len(spec.classes) - 1]
        return torch.tensor(labels, device="cpu")
    shape = (2, *_row_shape(name, spec))
    if fill != "random" or name == "strength":
        return torch.full(shape, float(fill != "zeros"), device="cpu", dtype=torch.float32)
    rows = normals(0, Stream.LATENT, 0, np.arange(2), math.prod(shape[1:]))
    values = torch.from_numpy(rows.astype(np.float32)).reshape(shape)
    return values.sigmoid() if name == "image" else values


def _row_shapes(part: str, spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shape of one row of each output of a part."""
    _, outputs = part_interface(part, spec)
    return {name: _row_shape(name, spec) for name in outputs}


def _row_shape(name: str, spec: Spec) -> tuple[int, ...]:
    """The shape of one row of an input or output of the graph."""
    shapes = {"image": spec.image_shape, "augmented": spec.image_shape, "strength": ()}
    return shapes.get(name, (spec.latent_dim,))
