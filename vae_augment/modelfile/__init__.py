"""Read an untrusted .onnx file: its structure, its allowed contents, the cost of a run, and its two parts."""

from .allowed import ALLOWED_OPS
from .growth import MAX_BATCH
from .reading import BUNDLED, ModelFile, find_model, model_reference, read_model

__all__ = ["ALLOWED_OPS", "BUNDLED", "MAX_BATCH", "ModelFile", "find_model", "model_reference", "read_model"]
