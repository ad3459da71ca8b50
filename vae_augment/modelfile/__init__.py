"""Read an untrusted .onnx file: its structure, what it may hold, what it would cost to run, and its two parts."""

from .allowed import ALLOWED_OPS
from .reading import BUNDLED, ModelFile, find_model, model_reference, read_model

__all__ = ["ALLOWED_OPS", "BUNDLED", "ModelFile", "find_model", "model_reference", "read_model"]
