"""Read an untrusted .onnx file: its structure, contents, cost of a run, and its two parts."""

from .allowed import ALLOWED_OPS
from .batch_linearity import MAX_BATCH
from .bundled import BUNDLED
from .cost import check_foreign_cost
from .reading import (
    ModelFile,
    check_model,
    find_model,
    model_reference,
    read_checked,
    read_foreign,
    read_model,
)

__all__ = [
    "ALLOWED_OPS",
    "BUNDLED",
    "MAX_BATCH",
    "ModelFile",
    "check_foreign_cost",
    "check_model",
    "find_model",
    "model_reference",
    "read_checked",
    "read_foreign",
    "read_model",
]
