"""Every error the package raises on purpose, so that ``except VAEAugmentError`` is enough.

Each child is also the built-in exception that a Python user would expect in its place.
"""


class VAEAugmentError(Exception):
    """Base of all errors raised on purpose by vae-augment."""


class InputError(VAEAugmentError, ValueError):
    """A value, shape, range or label that cannot be used."""


class InputTypeError(VAEAugmentError, TypeError):
    """An object of a kind that cannot be used, such as a NumPy array in place of an image."""


class ModelFormatError(VAEAugmentError, ValueError):
    """A file that is not a vae-augment model, or one of another version."""


class UnsafeModelError(ModelFormatError):
    """A model file that breaks a rule of the careful loader; it never reached onnxruntime."""


class ModelNotFoundError(VAEAugmentError, FileNotFoundError):
    """No model of that name, and no file at that path."""


class DataNotFoundError(VAEAugmentError, FileNotFoundError):
    """No data of that name, or none at that path."""


class OutputExistsError(VAEAugmentError, FileExistsError):
    """The output is there already, and overwriting was not asked for."""


class ProviderError(VAEAugmentError, RuntimeError):
    """onnxruntime, or the execution provider that was asked for, is not available."""


class ExportError(VAEAugmentError, RuntimeError):
    """A model that could not be exported faithfully; nothing was written."""


class DivergenceError(VAEAugmentError, ArithmeticError):
    """Training produced a loss that is not finite."""


class PlanMismatchError(VAEAugmentError, FileExistsError):
    """A folder of generated images that belongs to another plan; it was left as it is."""


class GenerationError(VAEAugmentError, RuntimeError):
    """Images that could not be generated or written, or that are not what their manifest says."""
